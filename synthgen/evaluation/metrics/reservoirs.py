"""``torchmetrics.Metric`` shells of the metrics that compare pairs of images.

They can't be had from sums. Each set keeps at most ``capacity`` images, drawn uniformly from all
that arrived on any process, so memory stops growing there; up to ``capacity`` images of each set
the value is exact.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from synthgen.evaluation.metrics.kernel import kid, mmd
from synthgen.evaluation.metrics.manifold import manifold_estimates
from synthgen.evaluation.metrics.sliced import mind

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
