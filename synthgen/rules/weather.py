"""Weather and night, on grey and colour images of any size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from synthgen.rules.base import SoloRule, per_image
from synthgen.rules.randomness import ImageRandom
from synthgen.rules.raster import coverage, pixel_centres, segment_distance
from synthgen.rules.textures import smooth_noise

FOG = 0.6  # light grey, in [-1, 1]
RAINDROPS, SNOWFLAKES = 28, 40  # in the whole image, at strength 1
NIGHT_TINT = (0.75, 0.85, 1.1)  # what is left of red, green and blue, beside the loss of light


class Fog(SoloRule):
    """Patchy mist: the image gives way to light grey, at strength 1 by three quarters to all."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        patches = smooth_noise(random, images.shape[2], images.shape[3], cells=(3, 5))[:, None]
        thickness = per_image(strength) * (0.7 + 0.3 * patches)
        return images + (FOG - images) * thickness


class Rain(SoloRule):
    """Bright streaks in one direction under a darker, flatter light."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        height, width = images.shape[-2:]
        x, y = pixel_centres(height, width)
        right, bottom = width / min(height, width), height / min(height, width)
        draws = random.uniform(1 + 4 * RAINDROPS)
        slant = 0.6 * (draws[:, 0] - 0.5)
        streaks = torch.zeros(len(images), height, width)
        pixel = 1 / min(height, width)
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


class Snow(SoloRule):
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


class Night(SoloRule):
    """Little light, bluish where there is colour, with a headlamp's cone from below and the noise
    of a sensor that sees too little."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        height, width = images.shape[-2:]
        x, y = pixel_centres(height, width)
        draws = random.uniform(2)
        right, bottom = width / min(height, width), height / min(height, width)
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
