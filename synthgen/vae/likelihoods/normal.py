"""Gaussian pixels whose variance is given, or learned by gradient."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.ranges import LogScale, Positive
from synthgen.spec import Rebuildable
from synthgen.types import ImageSpec

# log σ per unit of its parameter: Adam moves that by lr a step, too slowly for a short run.
GAIN = 30.0
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class FixedGaussianLikelihood(nn.Module, Rebuildable):
    """N(x; output, σ²) with the same given σ for all pixels (Kingma & Welling 2014, app. C.2).

    Args:
        sigma: in units of the [-1, 1] range; 1/√2 makes the value the squared error and a constant.
    """

    def __init__(self, sigma: Positive = 0.5**0.5) -> None:
        super().__init__()
        if not 0 < sigma < math.inf:
            raise ValueError(f"sigma must be more than 0, got {sigma}")
        self.sigma = sigma

    def out_channels(self, image: ImageSpec) -> int:
        return image.channels

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 outputs and images ``(N, C, H, W)`` in [-1, 1] -> nats per image ``(N,)``."""
        per_pixel = (outputs - images).square() / (2 * self.sigma**2)
        return (per_pixel + math.log(self.sigma) + HALF_LOG_TWO_PI).sum(dim=(1, 2, 3))

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image in [-1, 1]."""
        return outputs


class LearnedGaussianLikelihood(nn.Module, Rebuildable):
    """N(x; output, σ²) with one σ for all pixels, a parameter that is trained with the networks
    (Dai & Wipf 2019, section 3: γ).

    Args:
        min_log_sigma: soft lower bound of log σ (in units of the [-1, 1] range).
    """

    def __init__(self, min_log_sigma: LogScale = -6.0) -> None:
        super().__init__()
        self.min_log_sigma = min_log_sigma
        self.raw_log_sigma = nn.Parameter(torch.zeros(()))

    def out_channels(self, image: ImageSpec) -> int:
        return image.channels

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 outputs and images ``(N, C, H, W)`` in [-1, 1] -> nats per image ``(N,)``."""
        log_sigma = softly_above(GAIN * self.raw_log_sigma, self.min_log_sigma)
        return gaussian_nats(outputs, log_sigma, images)

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image in [-1, 1]."""
        return outputs


class PixelGaussianLikelihood(nn.Module, Rebuildable):
    """N(x; μ, σ²) with a mean and a σ for every pixel and channel, both from the decoder (Kingma &
    Welling 2014, app. C.2, eq. 12). The first half of its channels are means, the other log σ.

    Args:
        min_log_sigma: soft lower bound of log σ (in units of the [-1, 1] range): pixels that never
            change would otherwise be worth any number of nats. -3 is 6 grey levels.
    """

    def __init__(self, min_log_sigma: LogScale = -3.0) -> None:
        super().__init__()
        self.min_log_sigma = min_log_sigma

    def out_channels(self, image: ImageSpec) -> int:
        return 2 * image.channels

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 outputs ``(N, 2C, H, W)``, images ``(N, C, H, W)`` -> nats per image ``(N,)``."""
        mean, raw = outputs.chunk(2, dim=1)
        return gaussian_nats(mean, softly_above(raw, self.min_log_sigma), images)

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image in [-1, 1]."""
        return outputs.chunk(2, dim=1)[0]


def softly_above(value: Tensor, floor: float) -> Tensor:
    """``value`` where it is far above ``floor``, and never below it (Rybkin et al. 2021)."""
    return floor + F.softplus(value - floor)


def gaussian_nats(mean: Tensor, log_sigma: Tensor, images: Tensor) -> Tensor:
    """-log N(images; mean, σ²), summed over everything but the first dimension."""
    squared = (images - mean).square() / (2 * (2 * log_sigma).exp())
    return (squared + log_sigma + HALF_LOG_TWO_PI).sum(dim=(1, 2, 3))
