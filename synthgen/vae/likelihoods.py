"""Likelihoods: how an image is distributed around a decoder's output."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.processes import Processes
from synthgen.ranges import LogScale, Mixture, Positive
from synthgen.serialization import Rebuildable
from synthgen.types import ImageSpec

# Gaussian pixels whose variance is given, or learned by gradient.

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


class GaussianLikelihood(nn.Module, Rebuildable):
    """N(x; output, σ²) with the σ that maximises the likelihood of each batch, log σ = ½ log MSE
    (Rybkin et al. 2021, eq. 5); in evaluation with that of the last training batch, so that an
    image's likelihood doesn't depend on its companions.

    There is no weight to tune between reconstruction and KL: σ is learned, in closed form.

    Args:
        min_log_sigma: soft lower bound of log σ (in units of the [-1, 1] range), against
            collapse onto constant pixels.

    Gaussian pixels with one variance for all, at its optimum (Rybkin et al. 2021, eq. 5).
    """

    log_sigma: Tensor

    def __init__(self, min_log_sigma: LogScale = -6.0) -> None:
        super().__init__()
        self.min_log_sigma = min_log_sigma
        self.register_buffer("log_sigma", torch.zeros(()))
        self.processes = Processes()  # those that train it together

    def out_channels(self, image: ImageSpec) -> int:
        return image.channels

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 outputs and images ``(N, C, H, W)`` in [-1, 1] -> nats per image ``(N,)``."""
        log_sigma = self.log_sigma
        if self.training:
            squared_error = self.processes.mean((outputs - images).square().mean())
            best = 0.5 * squared_error.clamp_min(1e-20).log()
            log_sigma = softly_above(best, self.min_log_sigma)
            self.log_sigma.copy_(log_sigma.detach())
        return gaussian_nats(outputs, log_sigma, images)

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image in [-1, 1]."""
        return outputs


class BernoulliLikelihood(nn.Module, Rebuildable):
    """Outputs are logits of white (Kingma & Welling 2014, app. C.1).

    For images that are nearly black and white, such as digits; grey levels count as fractions, so
    the value is a bound's surrogate, not a likelihood.

    Bernoulli pixels: brightness as the probability of white (Kingma & Welling 2014, app. C).
    """

    def out_channels(self, image: ImageSpec) -> int:
        return image.channels

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 outputs and images ``(N, C, H, W)`` in [-1, 1] -> nats per image ``(N,)``."""
        target = images.add(1).div(2)
        cross_entropy = F.binary_cross_entropy_with_logits(outputs, target, reduction="none")
        return cross_entropy.sum(dim=(1, 2, 3))

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image in [-1, 1]."""
        return outputs.sigmoid().mul(2).sub(1)


class LaplaceLikelihood(nn.Module, Rebuildable):
    """p(x) = exp(-|x - output| / b) / 2b (Rombach et al. 2022, app. G, with b = 1).

    Args:
        scale: b, in units of the [-1, 1] range.

    Laplace pixels with one scale for all: the absolute error, which forgives outliers and prefers
    sharp edges to the mean of several (Rombach et al. 2022, app. G).
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


# Discretized mixtures of logistics: a probability for each of 256 levels.

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
