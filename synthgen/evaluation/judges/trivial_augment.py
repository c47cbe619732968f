"""TrivialAugment (Müller & Hutter 2021), for a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgen.evaluation.judges.crop_affine import Flip
from synthgen.ranges import PositiveShare

BINS = 31  # strengths of each operation
FARTHEST = 32  # pixels; and no farther than the image is wide or high
STEEPEST = 0.99
GREATEST_ROTATION = 135.0  # degrees
GREATEST_CHANGE = 0.99  # of brightness, colour, contrast and sharpness
FEWEST_BITS = 2

Operation = Callable[[Tensor, Tensor, Tensor], Tensor]
"""float32 images 0..255 ``(N, C, H, W)``, magnitudes in [0, 1] and signs ±1, both ``(N,)``."""


class TrivialAugment:
    """Each image meets one of 14 operations, all equally likely, at one of 31 strengths: the "wide"
    space of the paper's table 1. It turns images by up to 135° and shifts them by up to 32 pixels,
    so it is meant for photographs; a digit may not survive it.

    Args:
        strength: share of the 31 strengths that may be drawn, from the weakest on.
        flip: ``horizontal`` mirrors half of the images first.
    """

    def __init__(self, strength: PositiveShare = 1.0, flip: Flip = "none") -> None:
        if not 0 < strength <= 1:
            raise ValueError(f"strength must be above 0 and at most 1, got {strength}")
        self.strength = strength
        self.flip = flip

    def __repr__(self) -> str:
        return f"TrivialAugment(strength={self.strength:g}, flip={self.flip})"

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        count, device = len(images), images.device
        chosen = torch.randint(len(OPERATIONS), (count,), generator=generator)
        bins = max(2, round(self.strength * (BINS - 1)) + 1)
        magnitudes = torch.randint(bins, (count,), generator=generator) / (BINS - 1)
        signs = torch.randint(2, (count,), generator=generator) * 2 - 1
        mirrored = torch.randint(2, (count,), generator=generator).bool().to(device)
        if self.flip == "horizontal":
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        pixels = images.float()
        for number, operation in enumerate(OPERATIONS):
            index = (chosen == number).nonzero()[:, 0]
            if len(index):
                factors = magnitudes[index].to(device), signs[index].to(device)
                index = index.to(device)
                pixels[index] = operation(pixels[index], *factors)
        return pixels.round_().clamp_(0, 255).to(torch.uint8)


def identity(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    return pixels


def shear_x(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    return moved(pixels, xy=STEEPEST * magnitude * sign)


def shear_y(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    return moved(pixels, yx=STEEPEST * magnitude * sign)


def translate_x(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    width = pixels.shape[3]
    return moved(pixels, x=(magnitude * min(FARTHEST, width)).floor() * sign * 2 / width)


def translate_y(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    height = pixels.shape[2]
    return moved(pixels, y=(magnitude * min(FARTHEST, height)).floor() * sign * 2 / height)


def rotate(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    angle = magnitude * sign * math.radians(GREATEST_ROTATION)
    return moved(pixels, xx=angle.cos(), xy=-angle.sin(), yx=angle.sin(), yy=angle.cos())


def moved(pixels: Tensor, **terms: Tensor) -> Tensor:
    """Nearest pixels through the affine map whose terms differ from the identity, black outside.
    ``xx … yy`` are the matrix in pixels, ``x`` and ``y`` the shift in half sides."""
    zero = torch.zeros(len(pixels), device=pixels.device)
    aspect = pixels.shape[3] / pixels.shape[2]
    xx, yy = terms.get("xx", zero + 1), terms.get("yy", zero + 1)
    xy, yx = terms.get("xy", zero) / aspect, terms.get("yx", zero) * aspect
    rows = [[xx, xy, terms.get("x", zero)], [yx, yy, terms.get("y", zero)]]
    theta = torch.stack([torch.stack(row, 1) for row in rows], 1)
    places = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, places, mode="nearest", align_corners=False)


def brightness(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    return blended(torch.zeros_like(pixels), pixels, magnitude, sign)


def color(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    """Nothing happens to images without colour."""
    return blended(grey(pixels), pixels, magnitude, sign)


def contrast(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    mean = grey(pixels).mean((1, 2, 3), keepdim=True)
    return blended(mean, pixels, magnitude, sign)


def sharpness(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    if min(pixels.shape[2:]) < 3:
        return pixels
    kernel = torch.ones(3, 3, device=pixels.device)
    kernel[1, 1] = 5
    channels = pixels.shape[1]
    smooth = pixels.clone()
    smooth[..., 1:-1, 1:-1] = F.conv2d(
        pixels, (kernel / kernel.sum()).expand(channels, 1, 3, 3), groups=channels
    )
    return blended(smooth, pixels, magnitude, sign)


def blended(degenerate: Tensor, pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    """Towards the degenerate image (sign -1), or away from it."""
    factor = (1 + GREATEST_CHANGE * magnitude * sign)[:, None, None, None]
    return (degenerate + factor * (pixels - degenerate)).clamp(0, 255)


def grey(pixels: Tensor) -> Tensor:
    if pixels.shape[1] != 3:
        return pixels
    luma = torch.tensor([0.299, 0.587, 0.114], device=pixels.device)
    return (pixels * luma[:, None, None]).sum(1, keepdim=True).expand_as(pixels)


def posterize(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    level = 2.0 ** (magnitude * (8 - FEWEST_BITS)).round()[:, None, None, None]
    return (pixels / level).floor() * level


def solarize(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    threshold = 255 * (1 - magnitude)[:, None, None, None]
    return torch.where(pixels < threshold, pixels, 255 - pixels)


def autocontrast(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    low, high = pixels.amin((2, 3), keepdim=True), pixels.amax((2, 3), keepdim=True)
    return torch.where(high > low, (pixels - low) * 255 / (high - low).clamp_min(1), pixels)


def equalize(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    from torchvision.transforms.functional import equalize as equalized  # slow to import

    return equalized(pixels.to(torch.uint8)).float()


OPERATIONS: tuple[Operation, ...] = (
    identity, shear_x, shear_y, translate_x, translate_y, rotate, brightness, color, contrast,
    sharpness, posterize, solarize, autocontrast, equalize,
)  # fmt: skip
