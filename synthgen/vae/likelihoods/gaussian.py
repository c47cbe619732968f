"""Gaussian pixels with one variance for all, at its optimum (Rybkin et al. 2021, eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthgen.ranges import LogScale
from synthgen.spec import Rebuildable
from synthgen.types import ImageSpec
from synthgen.vae.likelihoods.normal import gaussian_nats, softly_above


class GaussianLikelihood(nn.Module, Rebuildable):
    """N(x; output, σ²) with the σ that maximises the likelihood of each batch, log σ = ½ log MSE
    (Rybkin et al. 2021, eq. 5); in evaluation with that of the last training batch, so that an
    image's likelihood doesn't depend on its companions.

    There is no weight to tune between reconstruction and KL: σ is learned, in closed form.

    Args:
        min_log_sigma: soft lower bound of log σ (in units of the [-1, 1] range), against
            collapse onto constant pixels.
    """

    log_sigma: Tensor

    def __init__(self, min_log_sigma: LogScale = -6.0) -> None:
        super().__init__()
        self.min_log_sigma = min_log_sigma
        self.register_buffer("log_sigma", torch.zeros(()))

    def out_channels(self, image: ImageSpec) -> int:
        return image.channels

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 outputs and images ``(N, C, H, W)`` in [-1, 1] -> nats per image ``(N,)``."""
        log_sigma = self.log_sigma
        if self.training:
            best = 0.5 * (outputs - images).square().mean().clamp_min(1e-20).log()
            log_sigma = softly_above(best, self.min_log_sigma)
            self.log_sigma.copy_(log_sigma.detach())
        return gaussian_nats(outputs, log_sigma, images)

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image in [-1, 1]."""
        return outputs
