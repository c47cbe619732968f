"""Transforms that change what a camera records and leave everything in its place: light, blur,
noise, weather, and a second image of the same class."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgen.transforms.base import ImageRandom, SoloTransform, Transform, per_image
from synthgen.transforms.geometric import smooth_noise
from synthgen.transforms.raster import canvas, coverage, pixel_centres, segment_distance

BLUR_SIGMA = 0.08  # of the shorter side, at strength 1
NOISE_SIGMA = 0.25  # of the range from black to white, at strength 1
OCCLUDED_AREA = 0.5  # of the image, at strength 1


class Blur(SoloTransform):
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


class PixelNoise(SoloTransform):
    """Independent Gaussian noise on each pixel and channel."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        noise = random.normal(images[0].numel()).view_as(images)
        return images + noise * per_image(2 * NOISE_SIGMA * strength)


class Contrast(SoloTransform):
    """Less contrast around the image's mean; at strength 1 a tenth of it is left."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        # In float64 the sum of so few float32 values is exact, whatever its order.
        mean = per_image(images.double().flatten(1).mean(dim=1).float())
        return mean + (images - mean) * per_image(1 - 0.9 * strength)


class Brightness(SoloTransform):
    """All light made stronger or weaker by up to half of the range, and cut off at white."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        shift = (2 * random.uniform(1)[:, 0] - 1) * strength
        return images + per_image(shift)


class Hue(SoloTransform):
    """The colour channels scaled independently by up to half; grey images become lighter or
    darker."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        gain = 1 + (random.uniform(images.shape[1]) - 0.5) * strength[:, None]
        return (images + 1) * gain[:, :, None, None] - 1


class Shade(SoloTransform):
    """Light from one side: up to twice as much there, and down to none at the other."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        x, y = pixel_centres(*images.shape[-2:])
        angle = 2 * math.pi * random.uniform(1).double()
        across, down = angle.cos().float()[:, :, None], angle.sin().float()[:, :, None]
        slope = across * (2 * x / x.max() - 1) + down * (2 * y / y.max() - 1)
        gain = 1 + per_image(strength) * 0.7 * slope[:, None]
        return (images + 1) * gain.clamp_min(0) - 1


class Darkness(SoloTransform):
    """Less light; at strength 1 an eighth of it is left."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        return (images + 1) * per_image(1 - 0.875 * strength) - 1


class Pixelation(SoloTransform):
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


class Occlusion(SoloTransform):
    """A rectangle of one grey level over up to half of the image's area, wholly inside it."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        hidden = random_rectangle(images, OCCLUDED_AREA * strength, random)
        level = per_image(2 * random.uniform(1)[:, 0] - 1)
        return torch.where(hidden, level, images)


def random_rectangle(images: Tensor, area: Tensor, random: ImageRandom) -> Tensor:
    """bool ``(N, 1, H, W)``: a rectangle of the given share of each image, its proportions between
    1 : 2 and 2 : 1, placed uniformly inside."""
    x, y, right, bottom = canvas(images)
    draws = random.uniform(3)
    stretch = (2 ** (2 * draws[:, 0].double() - 1)).float()
    across = (area * stretch).sqrt().clamp_max(1) * right
    down = (area / stretch).sqrt().clamp_max(1) * bottom
    left = (draws[:, 1] * (right - across))[:, None, None]
    top = (draws[:, 2] * (bottom - down))[:, None, None]
    inside_x = (x >= left) & (x < left + across[:, None, None])
    inside_y = (y >= top) & (y < top + down[:, None, None])
    return (inside_x & inside_y)[:, None]


# Rules that bring a second image of the same class into an image, so that the label stays true.

LARGEST_PATCH = 0.5  # of the image's area, at strength 1


class Mixup(Transform):
    """A weighted mean with the partner (Zhang et al. 2018, within a class); at strength 1 both
    weigh the same."""

    def combine(
        self, images: Tensor, partners: Tensor, strength: Tensor, random: ImageRandom
    ) -> Tensor:
        return images + (partners - images) * per_image(0.5 * strength)


class CutMix(Transform):
    """A rectangle replaced by the same place of the partner (Yun et al. 2019, within a class)."""

    def combine(
        self, images: Tensor, partners: Tensor, strength: Tensor, random: ImageRandom
    ) -> Tensor:
        return torch.where(
            random_rectangle(images, LARGEST_PATCH * strength, random), partners, images
        )


class CopyPaste(Transform):
    """What stands out in the partner pasted over the image (Ghiasi et al. 2021, within a class).

    Nobody marked the objects, so a pixel counts as object by its distance to the mean colour of
    the partner's border; strength is how far the least of them must come through.
    """

    def combine(
        self, images: Tensor, partners: Tensor, strength: Tensor, random: ImageRandom
    ) -> Tensor:
        edges = [partners[:, :, 0], partners[:, :, -1], partners[..., 0], partners[..., -1]]
        # In float64 the sum of so few float32 values is exact, whatever its order.
        border = torch.cat(edges, dim=2).double().mean(dim=2).float()[:, :, None, None]
        apart = (partners - border).abs().amax(dim=1, keepdim=True)
        opacity = ((apart - 0.2) * 4).clamp(0, 1) * per_image(strength)
        return images + (partners - images) * opacity


# Weather and night, on grey and colour images of any size.

FOG = 0.6  # light grey, in [-1, 1]
RAINDROPS, SNOWFLAKES = 28, 40  # in the whole image, at strength 1
NIGHT_TINT = (0.75, 0.85, 1.1)  # what is left of red, green and blue, beside the loss of light


class Fog(SoloTransform):
    """Patchy mist: the image gives way to light grey, at strength 1 by three quarters to all."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        patches = smooth_noise(random, images.shape[2], images.shape[3], cells=(3, 5))[:, None]
        thickness = per_image(strength) * (0.7 + 0.3 * patches)
        return images + (FOG - images) * thickness


class Rain(SoloTransform):
    """Bright streaks in one direction under a darker, flatter light."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        x, y, right, bottom = canvas(images)
        draws = random.uniform(1 + 4 * RAINDROPS)
        slant = 0.6 * (draws[:, 0] - 0.5)
        streaks = torch.zeros(len(images), *images.shape[-2:])
        pixel = 1 / min(images.shape[-2:])
        for drop in range(RAINDROPS):
            at_x, at_y, long, bright = draws[:, 1 + 4 * drop : 5 + 4 * drop].unbind(1)
            start = torch.stack([1.2 * right * at_x - 0.1, 1.2 * bottom * at_y - 0.2], dim=1)
            length = 0.1 + 0.2 * long
            end = start + length[:, None] * torch.stack([slant, torch.ones_like(slant)], dim=1)
            radius = max(0.008, 0.35 * pixel)
            line = coverage(segment_distance(start, end, x, y) - radius, pixel)
            present = (strength * RAINDROPS - drop).clamp(0, 1)  # the last drop fades in
            line *= (present * (0.4 + 0.5 * bright))[:, None, None]
            torch.maximum(streaks, line, out=streaks)
        light = per_image(1 - 0.35 * strength)
        return (images + 1) * light - 1 + streaks[:, None] * (1 - images).clamp_min(0.6)


class Snow(SoloTransform):
    """Flakes of several sizes, and the haze between them."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        height, width = images.shape[-2:]
        x, y = pixel_centres(height, width)
        pixel = 1 / min(height, width)
        sides = torch.tensor([width * pixel, height * pixel])
        draws = random.uniform(4 * SNOWFLAKES)
        cover = torch.zeros(len(images), height, width)
        for flake in range(SNOWFLAKES):
            at, size, drift = draws[:, 4 * flake : 4 * flake + 4].split([2, 1, 1], dim=1)
            start = at * sides
            radius = (0.012 + 0.025 * size.square()[:, 0]).clamp_min(0.4 * pixel)
            end = start + torch.cat([0.03 * (drift - 0.5), 0.02 * drift], dim=1)
            distance = segment_distance(start, end, x, y) - radius[:, None, None]
            present = (strength * SNOWFLAKES - flake).clamp(0, 1)[:, None, None]
            torch.maximum(cover, coverage(distance, pixel) * present, out=cover)
        hazy = images + (FOG - images) * per_image(0.3 * strength)
        return hazy + (1 - hazy) * cover[:, None]


class Night(SoloTransform):
    """Little light, bluish where there is colour, with a headlamp's cone from below and the noise
    of a sensor that sees too little."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        x, y, right, bottom = canvas(images)
        draws = random.uniform(2)
        lamp_x = (right * (0.3 + 0.4 * draws[:, 0]))[:, None, None]
        lamp_y = (bottom * (0.5 + 0.3 * draws[:, 1]))[:, None, None]
        squared = (x - lamp_x).square() + (y - lamp_y).square()
        lamp = 1 / (1 + squared / 0.35**2).square()[:, None]
        left = 1 - per_image(0.9 * strength) * (1 - 0.45 * lamp)
        dark = (images + 1) * left
        if images.shape[1] == 3:
            tint = torch.tensor(NIGHT_TINT)[None, :, None, None]
            dark = dark * (1 + (tint - 1) * per_image(strength))
        noise = random.normal(math.prod(images.shape[1:])).view_as(images)
        return dark - 1 + noise * per_image(0.08 * strength)
