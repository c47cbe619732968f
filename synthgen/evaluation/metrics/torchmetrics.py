"""Shells for other people's loops: ``torchmetrics.Metric`` around the pure functions."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from synthgen.evaluation.metrics.diversity import ClassSums, entropy_score, unit_rows
from synthgen.evaluation.metrics.frechet import PARTS, FullGaussian, distance, intercept, products
from synthgen.evaluation.metrics.kernel import kid, mind, mmd
from synthgen.evaluation.metrics.manifold import manifold_estimates

# Shells for other people's loops: ``torchmetrics.Metric`` around the pure functions.
#
# These keep sums, so their memory does not grow with the number of images, and add up over
# processes. Metrics that need pairs of images are in ``reservoirs``.

LEAST_COMMON_MULTIPLE = 6  # slots that can be joined to 1, 2 or 3 equal parts


class MomentsMetric(Metric):
    """float64 sums of features, of their products ``(D, D)`` and of images, for each set.

    Images are dealt to ``slots`` in turn. Features are shifted by ``centre`` (a rough mean, the
    same everywhere; zeros by default) before they are squared: give one when features have means
    far larger than their spread.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False
    slots = 1

    real_sum: Tensor
    fake_sum: Tensor
    real_products: Tensor
    fake_products: Tensor
    real_count: Tensor
    fake_count: Tensor

    def __init__(self, num_features: int, centre: Tensor | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.centre = torch.zeros(num_features) if centre is None else centre.detach()
        for which in ("real", "fake"):
            for state, shape in (
                ("sum", (self.slots, num_features)),
                ("products", (self.slots, num_features, num_features)),
                ("count", (self.slots,)),
            ):
                zeros = torch.zeros(shape, dtype=torch.float64)
                self.add_state(f"{which}_{state}", zeros, dist_reduce_fx="sum")

    def update(self, *, real: Tensor | None = None, fake: Tensor | None = None) -> None:
        """Add a batch of real features ``(N, D)``, of synthetic ones, or of both."""
        if real is not None:
            self._add(real, self.real_sum, self.real_products, self.real_count)
        if fake is not None:
            self._add(fake, self.fake_sum, self.fake_products, self.fake_count)

    def _add(self, features: Tensor, sums: Tensor, squares: Tensor, counts: Tensor) -> None:
        shifted = features.detach().to(sums)
        shifted = shifted - self.centre.to(shifted)
        first = int(counts.sum())
        for slot in range(self.slots):
            dealt = shifted[(slot - first) % self.slots :: self.slots]
            sums[slot] += dealt.sum(0)
            squares[slot] += products(dealt)
            counts[slot] += len(dealt)

    def _distance(self, part: int, parts: int) -> float:
        """Between the Gaussians of every ``parts``-th slot."""
        gaussians = []
        for sums, squares, counts in (
            (self.real_sum, self.real_products, self.real_count),
            (self.fake_sum, self.fake_products, self.fake_count),
        ):
            count = counts[part::parts].sum()
            if count < 2:
                raise ValueError(
                    f"the Fréchet distance needs at least {2 * parts} real and as many fake images"
                )
            mean = sums[part::parts].sum(0) / count
            scatter = squares[part::parts].sum(0) - count * torch.outer(mean, mean)
            gaussians.append(FullGaussian(mean, scatter / (count - 1)))
        return distance(*gaussians)


class FrechetDistance(MomentsMetric):
    """Fréchet distance of features that arrive in batches, on any number of processes."""

    def compute(self) -> Tensor:
        """float64 scalar. Raises ValueError before two images of each set have arrived."""
        return torch.tensor(self._distance(0, 1), dtype=torch.float64)


class FrechetInfinity(MomentsMetric):
    """FD∞ of features that arrive in batches in random order, on any number of processes; six
    times the memory of :class:`FrechetDistance`."""

    slots = LEAST_COMMON_MULTIPLE

    def compute(self) -> Tensor:
        """float64 scalar. Raises ValueError before six images of each set have arrived."""
        means = [
            sum(self._distance(part, parts) for part in range(parts)) / parts
            for parts in range(1, PARTS + 1)
        ]
        return torch.tensor(intercept(means), dtype=torch.float64)


class VendiScore(Metric):
    """Vendi score of features that arrive in batches: a sum of size D² whatever their number."""

    higher_is_better = True
    is_differentiable = False
    full_state_update = False

    similarities: Tensor

    def __init__(self, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        size = num_features + 1
        zeros = torch.zeros(size, size, dtype=torch.float64)
        self.add_state("similarities", zeros, dist_reduce_fx="sum")

    def update(self, *, fake: Tensor) -> None:
        self.similarities += products(unit_rows(fake.detach().to(self.similarities)))

    def compute(self) -> Tensor:
        """float64 scalar. Raises ValueError before the first image."""
        if not self.similarities.any():
            raise ValueError("the Vendi score needs at least one image")
        return torch.tensor(entropy_score(self.similarities), dtype=torch.float64)


class InceptionScore(Metric):
    """Inception score of class logits ``(N, K)`` that arrive in batches: K + 2 numbers are kept."""

    higher_is_better = True
    is_differentiable = False
    full_state_update = False

    probabilities: Tensor
    negentropy: Tensor
    count: Tensor

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, shape in (("probabilities", (num_classes,)), ("negentropy", ()), ("count", ())):
            zeros = torch.zeros(shape, dtype=torch.float64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def update(self, *, fake_logits: Tensor) -> None:
        sums = ClassSums.of(fake_logits.detach())
        self.probabilities += sums.probabilities
        self.negentropy += sums.negentropy
        self.count += sums.count

    def compute(self) -> Tensor:
        """float64 scalar. Raises ValueError before the first image."""
        if not self.count:
            raise ValueError("the Inception score needs at least one image")
        score = ClassSums(self.probabilities, self.negentropy, self.count).score()
        return torch.tensor(score, dtype=torch.float64)


# ``torchmetrics.Metric`` shells of the metrics that compare pairs of images.
#
# They can't be had from sums. Each set keeps at most ``capacity`` images, drawn uniformly from all
# that arrived on any process, so memory stops growing there; up to ``capacity`` images of each set
# the value is exact.

CAPACITY = 10_000


class ReservoirMetric(Metric):
    """A random sample of each set, as float32 rows: a key, then the features.

    Every image gets a random key when it arrives, and the images with the smallest keys stay
    (Vitter 1985's reservoir in the form that can be merged). Free rows have the key infinity.

    Args:
        num_features: D.
        capacity: images kept of each set, C: (D + 1) · C · 8 bytes in all.
        seed: of the keys; the process's rank and a count of batches are added.
    """

    is_differentiable = False
    full_state_update = False

    real_rows: Tensor
    fake_rows: Tensor

    def __init__(
        self, num_features: int, capacity: int = CAPACITY, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.capacity = capacity
        self.seed, self.batches = seed, 0
        free = torch.zeros(capacity, num_features + 1)
        free[:, 0] = torch.inf
        self.add_state("real_rows", free.clone(), dist_reduce_fx=self._merge)
        self.add_state("fake_rows", free.clone(), dist_reduce_fx=self._merge)

    def update(self, *, real: Tensor | None = None, fake: Tensor | None = None) -> None:
        """Add a batch of real features ``(N, D)``, of synthetic ones, or of both."""
        if real is not None:
            self.real_rows = self._merge([self.real_rows, self._keyed(real)])
        if fake is not None:
            self.fake_rows = self._merge([self.fake_rows, self._keyed(fake)])

    def compute(self) -> Any:
        return self.value(real=held(self.real_rows), fake=held(self.fake_rows))

    @abstractmethod
    def value(self, *, real: Tensor, fake: Tensor) -> Any:
        """The metric of the images that were kept; raises ValueError for too few."""

    def _keyed(self, features: Tensor) -> Tensor:
        features = features.detach().to(self.real_rows)
        seed = self.seed + 1_000_003 * process_rank() + self.batches
        keys = torch.rand(len(features), 1, generator=torch.Generator().manual_seed(seed))
        self.batches += 1
        return torch.cat([keys.to(features), features], dim=1)

    def _merge(self, parts: Tensor | list[Tensor]) -> Tensor:
        """``(P, C, D + 1)`` from as many processes, or a list of rows, to the C smallest keys."""
        rows = torch.cat(list(parts))
        return rows[rows[:, 0].argsort(stable=True)[: self.capacity]]


class KernelDistance(ReservoirMetric):
    """KID: float64 scalar."""

    higher_is_better = False

    def value(self, *, real: Tensor, fake: Tensor) -> Tensor:
        return torch.tensor(kid(real=real, fake=fake), dtype=torch.float64)


class MaximumMeanDiscrepancy(ReservoirMetric):
    """Unbiased MMD under a Gaussian kernel: float64 scalar.

    Args:
        bandwidth: σ; None takes the median distance between real images.
    """

    higher_is_better = False

    def __init__(self, num_features: int, bandwidth: float | None = None, **kwargs: Any) -> None:
        super().__init__(num_features, **kwargs)
        self.bandwidth = bandwidth

    def value(self, *, real: Tensor, fake: Tensor) -> Tensor:
        found = mmd(real=real, fake=fake, bandwidth=self.bandwidth)
        return torch.tensor(found, dtype=torch.float64)


class MongeDistance(ReservoirMetric):
    """MIND: float64 scalar."""

    higher_is_better = False

    def value(self, *, real: Tensor, fake: Tensor) -> Tensor:
        return torch.tensor(mind(real=real, fake=fake), dtype=torch.float64)


class PrecisionRecallDensityCoverage(ReservoirMetric):
    """A dictionary of four float64 scalars."""

    higher_is_better = True

    def value(self, *, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {
            name: torch.tensor(estimate.value, dtype=torch.float64)
            for name, estimate in manifold_estimates(real=real, fake=fake).items()
        }


def held(rows: Tensor) -> Tensor:
    """Features of the rows that are not free."""
    return rows[rows[:, 0].isfinite(), 1:]


def process_rank() -> int:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_rank() if distributed else 0
