"""Laplace pixels with one scale for all: the absolute error, which forgives outliers and prefers
sharp edges to the mean of several (Rombach et al. 2022, app. G)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from synthgen.ranges import Positive
from synthgen.spec import Rebuildable
from synthgen.types import ImageSpec


class LaplaceLikelihood(nn.Module, Rebuildable):
    """p(x) = exp(-|x - output| / b) / 2b (Rombach et al. 2022, app. G, with b = 1).

    Args:
        scale: b, in units of the [-1, 1] range.
    """

    def __init__(self, scale: Positive = 1.0) -> None:
        super().__init__()
        if scale <= 0:
            raise ValueError(f"scale must be positive, got {scale}")
        self.scale = scale

    def out_channels(self, image: ImageSpec) -> int:
        return image.channels

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 outputs and images ``(N, C, H, W)`` in [-1, 1] -> nats per image ``(N,)``."""
        per_pixel = (outputs - images).abs() / self.scale + math.log(2 * self.scale)
        return per_pixel.sum(dim=(1, 2, 3))

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image in [-1, 1]."""
        return outputs
