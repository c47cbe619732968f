"""Metrics for batches that arrive one after another, on any number of processes: torchmetrics
modules, from sums where the metric can be had from sums, else from a random sample of each set."""

from __future__ import annotations

from typing import Any

import torch
import torchmetrics
from torch import Tensor

from synthgen.metrics.base import Comparison, Metric
from synthgen.metrics.diversity import ClassSums, entropy_score, unit_rows
from synthgen.metrics.frechet import PARTS, FullGaussian, distance, intercept, products

CAPACITY = 10_000


class Reservoir(torchmetrics.Metric):
    """Any metric of features that arrive in batches, from a random sample of each set.

    Each set keeps at most ``capacity`` images, drawn uniformly from all that arrived on any
    process, so memory stops growing there; up to ``capacity`` images of each set the value is
    exact. Every image gets a random key when it arrives, and the images with the smallest keys stay
    (Vitter 1985's reservoir in the form that can be merged). A row is a key, then the features;
    free rows have the key infinity.

    Args:
        metric: what is computed of the images that were kept.
        num_features: D.
        capacity: images kept of each set, C: (D + 1) · C · 8 bytes in all.
        seed: of the keys; the process's rank and a count of batches are added.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False

    real_rows: Tensor
    fake_rows: Tensor

    def __init__(
        self,
        metric: Metric,
        num_features: int,
        capacity: int = CAPACITY,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.metric = metric
        self.capacity = capacity
        self.seed, self.batches = seed, 0
        free = torch.zeros(capacity, num_features + 1)
        free[:, 0] = torch.inf
        self.add_state("real_rows", free.clone(), dist_reduce_fx=self._merge)
        self.add_state("fake_rows", free.clone(), dist_reduce_fx=self._merge)

    def update(self, *, real: Tensor | None = None, fake: Tensor | None = None) -> None:
        """Add a batch of real features ``(B, D)``, of synthetic ones, or of both."""
        if real is not None:
            self.real_rows = self._merge([self.real_rows, self._keyed(real)])
        if fake is not None:
            self.fake_rows = self._merge([self.fake_rows, self._keyed(fake)])

    def compute(self) -> Tensor:
        """float64 scalar. Raises ValueError before enough images of each set have arrived."""
        value = self.metric.value(Comparison(held(self.real_rows), held(self.fake_rows)))
        return torch.tensor(value, dtype=torch.float64)

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


class HigherReservoir(Reservoir):
    """Of a metric whose higher values are better; torchmetrics asks the class."""

    higher_is_better = True


def held(rows: Tensor) -> Tensor:
    """Features of the rows that are not free."""
    return rows[rows[:, 0].isfinite(), 1:]


def process_rank() -> int:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_rank() if distributed else 0


class FrechetSums(torchmetrics.Metric):
    """float64 sums of features, of their products ``(D, D)`` and of images, for each set.

    Images are dealt to ``slots`` in turn: with one slot the distance at n is computed, with six
    the distance at infinite n.

    Args:
        num_features: D.
        slots: 1 or 6.
        centre: ``(D,)``, subtracted before features are squared (a rough mean, the same on every
            process; zeros by default). Give one when means are far larger than the spread.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False

    real_sum: Tensor
    fake_sum: Tensor
    real_products: Tensor
    fake_products: Tensor
    real_count: Tensor
    fake_count: Tensor

    def __init__(
        self, num_features: int, slots: int = 1, centre: Tensor | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.slots = slots
        self.centre = torch.zeros(num_features) if centre is None else centre.detach()
        for which in ("real", "fake"):
            for state, shape in (
                ("sum", (slots, num_features)),
                ("products", (slots, num_features, num_features)),
                ("count", (slots,)),
            ):
                zeros = torch.zeros(shape, dtype=torch.float64)
                self.add_state(f"{which}_{state}", zeros, dist_reduce_fx="sum")

    def update(self, *, real: Tensor | None = None, fake: Tensor | None = None) -> None:
        """Add a batch of real features ``(B, D)``, of synthetic ones, or of both."""
        if real is not None:
            self._add(real, self.real_sum, self.real_products, self.real_count)
        if fake is not None:
            self._add(fake, self.fake_sum, self.fake_products, self.fake_count)

    def compute(self) -> Tensor:
        """float64 scalar. Raises ValueError before two images of each slot have arrived."""
        most = 1 if self.slots == 1 else PARTS
        means = [
            sum(self._distance(part, parts) for part in range(parts)) / parts
            for parts in range(1, most + 1)
        ]
        value = means[0] if self.slots == 1 else intercept(means)
        return torch.tensor(value, dtype=torch.float64)

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


class VendiSums(torchmetrics.Metric):
    """A sum of size D² whatever the number of images.

    Args:
        num_features: D.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False

    similarities: Tensor

    def __init__(self, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        size = num_features + 1
        zeros = torch.zeros(size, size, dtype=torch.float64)
        self.add_state("similarities", zeros, dist_reduce_fx="sum")

    def update(self, *, real: Tensor | None = None, fake: Tensor | None = None) -> None:
        """Add a batch of synthetic features ``(B, D)``; real ones say nothing here."""
        if fake is not None:
            self.similarities += products(unit_rows(fake.detach().to(self.similarities)))

    def compute(self) -> Tensor:
        """float64 scalar. Raises ValueError before the first image."""
        if not self.similarities.any():
            raise ValueError("the Vendi score needs at least one image")
        return torch.tensor(entropy_score(self.similarities), dtype=torch.float64)


class InceptionSums(torchmetrics.Metric):
    """Sums of class probabilities.

    Args:
        num_classes: K.
    """

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

    def update(self, *, real: Tensor | None = None, fake: Tensor | None = None) -> None:
        """Add the class logits ``(B, K)`` of a batch of synthetic images; real ones say nothing
        here."""
        if fake is None:
            return
        sums = ClassSums.of(fake.detach())
        self.probabilities += sums.probabilities
        self.negentropy += sums.negentropy
        self.count += sums.count

    def compute(self) -> Tensor:
        """float64 scalar. Raises ValueError before the first image."""
        if not self.count:
            raise ValueError("the Inception score needs at least one image")
        score = ClassSums(self.probabilities, self.negentropy, self.count).score()
        return torch.tensor(score, dtype=torch.float64)
