"""Rules that change what a camera records and leave everything in its place."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgen.rules.base import SoloRule, per_image
from synthgen.rules.randomness import ImageRandom
from synthgen.rules.raster import pixel_centres

BLUR_SIGMA = 0.08  # of the shorter side, at strength 1
NOISE_SIGMA = 0.25  # of the range from black to white, at strength 1
OCCLUDED_AREA = 0.5  # of the image, at strength 1


class Blur(SoloRule):
    """Gaussian blur; at strength 1 its deviation is 8 % of the shorter side."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        largest = BLUR_SIGMA * min(images.shape[-2:])
        radius = max(1, math.ceil(2.5 * largest))
        offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
        sigma = (largest * strength.double()).clamp_min(1e-3)[:, None]
        # The Gaussian's integral over each pixel: its value at the centre misses a narrow one.
        weights = torch.special.ndtr((offsets + 0.5) / sigma)
        weights = weights - torch.special.ndtr((offsets - 0.5) / sigma)
        weights = (weights / weights.sum(dim=1, keepdim=True)).float()
        for dimension in (2, 3):
            images = _filtered(images, weights, radius, dimension)
        return images


def _filtered(images: Tensor, weights: Tensor, radius: int, dimension: int) -> Tensor:
    """Weighted sum of shifted images along one dimension, edges repeated. A convolution would be
    shorter, but the order of its sums may depend on the batch."""
    padding = (radius, radius, 0, 0) if dimension == 3 else (0, 0, radius, radius)
    padded = F.pad(images, padding, mode="replicate")
    total = torch.zeros_like(images)
    for tap in range(2 * radius + 1):
        shifted = padded.narrow(dimension, tap, images.shape[dimension])
        total += shifted * per_image(weights[:, tap])
    return total


class PixelNoise(SoloRule):
    """Independent Gaussian noise on each pixel and channel."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        noise = random.normal(images[0].numel()).view_as(images)
        return images + noise * per_image(2 * NOISE_SIGMA * strength)


class Contrast(SoloRule):
    """Less contrast around the image's mean; at strength 1 a tenth of it is left."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        # In float64 the sum of so few float32 values is exact, whatever its order.
        mean = per_image(images.double().flatten(1).mean(dim=1).float())
        return mean + (images - mean) * per_image(1 - 0.9 * strength)


class Brightness(SoloRule):
    """All light made stronger or weaker by up to half of the range, and cut off at white."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        shift = (2 * random.uniform(1)[:, 0] - 1) * strength
        return images + per_image(shift)


class Hue(SoloRule):
    """The colour channels scaled independently by up to half; grey images become lighter or
    darker."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        gain = 1 + (random.uniform(images.shape[1]) - 0.5) * strength[:, None]
        return (images + 1) * gain[:, :, None, None] - 1


class Shade(SoloRule):
    """Light from one side: up to twice as much there, and down to none at the other."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        x, y = pixel_centres(*images.shape[-2:])
        angle = 2 * math.pi * random.uniform(1).double()
        across, down = angle.cos().float()[:, :, None], angle.sin().float()[:, :, None]
        slope = across * (2 * x / x.max() - 1) + down * (2 * y / y.max() - 1)
        gain = 1 + per_image(strength) * 0.7 * slope[:, None]
        return (images + 1) * gain.clamp_min(0) - 1


class Darkness(SoloRule):
    """Less light; at strength 1 an eighth of it is left."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        return (images + 1) * per_image(1 - 0.875 * strength) - 1


class Pixelation(SoloRule):
    """Fewer, larger pixels: averages over blocks; at strength 1 a sixth as many in each
    direction (and at least two)."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        height, width = images.shape[-2:]
        divisor = 1 + 5 * strength
        out = images.clone()
        for factor in divisor.unique().tolist():
            rows = divisor == factor
            size = (max(2, round(height / factor)), max(2, round(width / factor)))
            small = F.adaptive_avg_pool2d(images[rows].double(), size).float()
            out[rows] = F.interpolate(small, (height, width), mode="nearest-exact")
        return out


class Occlusion(SoloRule):
    """A rectangle of one grey level over up to half of the image's area, wholly inside it."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        hidden = random_rectangle(images, OCCLUDED_AREA * strength, random)
        level = per_image(2 * random.uniform(1)[:, 0] - 1)
        return torch.where(hidden, level, images)


def random_rectangle(images: Tensor, area: Tensor, random: ImageRandom) -> Tensor:
    """bool ``(N, 1, H, W)``: a rectangle of the given share of each image, its proportions between
    1 : 2 and 2 : 1, placed uniformly inside."""
    height, width = images.shape[-2:]
    x, y = pixel_centres(height, width)
    right, bottom = width / min(height, width), height / min(height, width)
    draws = random.uniform(3)
    stretch = (2 ** (2 * draws[:, 0].double() - 1)).float()
    across = (area * stretch).sqrt().clamp_max(1) * right
    down = (area / stretch).sqrt().clamp_max(1) * bottom
    left = (draws[:, 1] * (right - across))[:, None, None]
    top = (draws[:, 2] * (bottom - down))[:, None, None]
    inside_x = (x >= left) & (x < left + across[:, None, None])
    inside_y = (y >= top) & (y < top + down[:, None, None])
    return (inside_x & inside_y)[:, None]
