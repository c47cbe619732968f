"""Shells for other people's loops: ``torchmetrics.Metric`` around the pure functions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from synthgen.evaluation.metrics.frechet import Gaussian, distance, factorise


class FrechetDistance(Metric):
    """Fréchet distance of features ``(N, D)`` that arrive in batches, on any number of processes.

    Keeps float64 sums of size D² per set, which add up across processes. Features are shifted by
    ``centre`` (a rough mean, the same everywhere; zeros by default) before they are squared: give
    one when features have means far larger than their spread.
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

    def __init__(self, num_features: int, centre: Tensor | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.centre = torch.zeros(num_features) if centre is None else centre.detach()
        for which in ("real", "fake"):
            for state, shape in (
                ("sum", (num_features,)),
                ("products", (num_features, num_features)),
                ("count", ()),
            ):
                zeros = torch.zeros(shape, dtype=torch.float64)
                self.add_state(f"{which}_{state}", zeros, dist_reduce_fx="sum")

    def update(self, *, real: Tensor | None = None, fake: Tensor | None = None) -> None:
        """Add a batch of real features, of synthetic ones, or of both."""
        if real is not None:
            shifted = self._shifted(real)
            self.real_sum += shifted.sum(0)
            self.real_products += shifted.T @ shifted
            self.real_count += len(shifted)
        if fake is not None:
            shifted = self._shifted(fake)
            self.fake_sum += shifted.sum(0)
            self.fake_products += shifted.T @ shifted
            self.fake_count += len(shifted)

    def compute(self) -> Tensor:
        """float64 scalar. Raises ValueError before two images of each set have arrived."""
        if min(self.real_count, self.fake_count) < 2:
            raise ValueError("the Fréchet distance needs at least two real and two fake images")
        real = gaussian(self.real_sum, self.real_products, self.real_count)
        fake = gaussian(self.fake_sum, self.fake_products, self.fake_count)
        return torch.tensor(distance(real, fake), dtype=torch.float64)

    def _shifted(self, features: Tensor) -> Tensor:
        features = features.detach().to(self.real_sum)
        return features - self.centre.to(features)


def gaussian(total: Tensor, products: Tensor, count: Tensor) -> Gaussian:
    """From Σx, Σxxᵀ and n."""
    mean = total / count
    return Gaussian(mean, factorise((products - count * torch.outer(mean, mean)) / (count - 1)))
