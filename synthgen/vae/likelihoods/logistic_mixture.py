"""Discretized mixtures of logistics: a probability for each of 256 levels."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.ranges import Mixture
from synthgen.spec import Rebuildable
from synthgen.types import ImageSpec

HALF_LEVEL = 1 / 255  # half the distance of two levels in [-1, 1]
MIN_LOG_SCALE = -7.0
WIDEST_LOG_SCALE = 5.0  # beyond it only the tails, black and white, have any weight


class LogisticMixtureLikelihood(nn.Module, Rebuildable):
    """A discretized mixture of logistic distributions for each pixel (Salimans et al. 2017, eq. 2).

    The channels of a pixel share the mixture's component, and the mean of each depends linearly on
    the channels before it (eq. 3). The decoder gives, for each pixel, K logits, K x C means, K x C
    log-scales and K x C(C-1)/2 coefficients.

    Args:
        components: K.
        image: what is drawn: the mean image, or the mean of the likeliest component of each pixel
            (sharper where pixels are of two kinds, but pixels choose independently). A channel's
            mean is that given the means of the channels before it.
    """

    def __init__(
        self, components: Mixture = 10, image: Literal["mean", "likeliest"] = "mean"
    ) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"components must be at least 1, got {components}")
        self.components, self.image = components, image

    def out_channels(self, image: ImageSpec) -> int:
        channels = image.channels
        return self.components * (1 + 2 * channels + channels * (channels - 1) // 2)

    def split(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits ``(N, K, H, W)``, means and log-scales ``(N, C, K, H, W)``, coefficients
        ``(N, C(C-1)/2, K, H, W)``."""
        parts = outputs.unflatten(1, (-1, self.components))
        channels = channels_of(parts.shape[1])
        logits, rest = parts[:, 0], parts[:, 1:]
        means, log_scales = rest[:, :channels], rest[:, channels : 2 * channels]
        return logits, means, log_scales.clamp_min(MIN_LOG_SCALE), rest[:, 2 * channels :].tanh()

    def level_log_probs(self, outputs: Tensor, images: Tensor) -> Tensor:
        """log P(level) of every pixel, float32 ``(N, H, W)``, for images ``(N, C, H, W)`` whose
        values are levels in [-1, 1]."""
        logits, means, log_scales, coefficients = self.split(outputs)
        x = images[:, :, None]  # (N, C, 1, H, W)
        centres = conditional_means(means, coefficients, x.expand_as(means))
        inverse_scale = (-log_scales).exp()
        above = inverse_scale * (x - centres + HALF_LEVEL)
        below = inverse_scale * (x - centres - HALF_LEVEL)
        # P = σ(a) - σ(b) = σ(a) σ(-b) (1 - e^(b-a)): no difference of two nearly equal numbers.
        width = (2 * HALF_LEVEL * inverse_scale).clamp_min(1e-12)
        inner = F.logsigmoid(above) + F.logsigmoid(-below) + (-torch.expm1(-width)).log()
        darkest, brightest = F.logsigmoid(above), F.logsigmoid(-below)  # the tails belong to them
        each = torch.where(x < -1 + HALF_LEVEL, darkest, inner)
        each = torch.where(x > 1 - HALF_LEVEL, brightest, each)
        return (each.sum(dim=1) + logits.log_softmax(dim=1)).logsumexp(dim=1)

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 outputs ``(N, out_channels, H, W)``, images ``(N, C, H, W)`` in [-1, 1] -> nats
        per image ``(N,)``."""
        return -self.level_log_probs(outputs, images).sum(dim=(1, 2))

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image, or the likeliest component's, in [-1, 1], ``(N, C, H, W)``."""
        logits, means, log_scales, coefficients = self.split(outputs)
        expected = means
        for _ in range(means.shape[1]):  # a channel's is right once those before it are
            centres = conditional_means(means, coefficients, expected)
            expected = clipped_mean(centres, log_scales)
        if self.image == "mean":
            return (expected * logits.softmax(dim=1)[:, None]).sum(dim=2)
        chosen = logits.argmax(dim=1)[:, None, None].expand(-1, means.shape[1], -1, -1, -1)
        return expected.gather(2, chosen).squeeze(2)


def clipped_mean(centres: Tensor, log_scales: Tensor) -> Tensor:
    """Mean of a logistic distribution whose tails beyond [-1, 1] lie on -1 and 1: one minus its
    distribution function, integrated from -1 to 1, minus 1."""
    scales = log_scales.clamp_max(WIDEST_LOG_SCALE).exp()
    above = F.softplus((centres + 1) / scales) - F.softplus((centres - 1) / scales)
    return (scales * above - 1).clamp(-1, 1)


def channels_of(parts: int) -> int:
    """C from 1 + 2C + C(C-1)/2."""
    channels = 1
    while 1 + 2 * channels + channels * (channels - 1) // 2 < parts:
        channels += 1
    return channels


def conditional_means(means: Tensor, coefficients: Tensor, values: Tensor) -> Tensor:
    """Every channel's mean given the values of the channels before it, ``(N, C, K, H, W)``."""
    found, used = [means[:, 0]], 0
    for channel in range(1, means.shape[1]):
        own = coefficients[:, used : used + channel]
        found.append(means[:, channel] + (own * values[:, :channel]).sum(dim=1))
        used += channel
    return torch.stack(found, dim=1)
