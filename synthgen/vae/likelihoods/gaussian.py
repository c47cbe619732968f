"""Gaussian pixels with one variance for all, at its optimum (Rybkin et al. 2021, eq. 5)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.spec import Rebuildable
from synthgen.types import ImageSpec


class GaussianLikelihood(nn.Module, Rebuildable):
    """N(x; output, σ²) with the σ that maximises the likelihood of each batch, log σ = ½ log MSE
    (Rybkin et al. 2021, eq. 5).

    There is no weight to tune between reconstruction and KL: σ is learned, in closed form.

    Args:
        min_log_sigma: soft lower bound of log σ (in units of the [-1, 1] range), against
            collapse onto constant pixels.
    """

    log_sigma: Tensor

    def __init__(self, min_log_sigma: float = -6.0) -> None:
        super().__init__()
        self.min_log_sigma = min_log_sigma
        self.register_buffer("log_sigma", torch.zeros(()))

    def out_channels(self, image: ImageSpec) -> int:
        return image.channels

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 outputs and images ``(N, C, H, W)`` in [-1, 1] -> nats per image ``(N,)``."""
        squared = (outputs - images).square()
        log_sigma = 0.5 * squared.mean().clamp_min(1e-20).log()
        log_sigma = self.min_log_sigma + F.softplus(log_sigma - self.min_log_sigma)
        if self.training:
            self.log_sigma.copy_(log_sigma.detach())
        per_pixel = squared / (2 * (2 * log_sigma).exp()) + log_sigma + 0.5 * math.log(2 * math.pi)
        return per_pixel.sum(dim=(1, 2, 3))

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image in [-1, 1]."""
        return outputs
