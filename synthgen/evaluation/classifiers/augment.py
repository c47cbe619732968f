"""Augmentations of what a classifier learns from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn import functional as F

from synthgen.images import from_255, to_255
from synthgen.ranges import PositiveShare

# Crop and affine: the usual classic augmentation of small images.

GREATEST_SHIFT = 0.125  # of the image's side
GREATEST_TURN = 15.0  # degrees
GREATEST_SCALING = 0.15
GREATEST_BRIGHTENING = 0.3

Flip = Literal["none", "horizontal"]


class CropAffine:
    """Crop and affine: the usual policy for small images. At ``strength`` 1 each image is shifted
    by up to ±12.5 % of its side, turned by ±15°, scaled by ±15 %, and its brightness and contrast
    change by ±30 %, all uniformly. What comes in from outside has the value of the border.

    Args:
        strength: factor on all of these ranges; 0 leaves only the flip.
        flip: ``horizontal`` mirrors half of the images. Digits don't bear it.
    """

    def __init__(
        self, strength: Annotated[float, Interval(ge=0, le=3)] = 1.0, flip: Flip = "none"
    ) -> None:
        if not 0 <= strength <= 3:
            raise ValueError(f"strength must be between 0 and 3, got {strength}")
        self.strength = strength
        self.flip = flip

    def __repr__(self) -> str:
        return f"CropAffine(strength={self.strength:g}, flip={self.flip})"

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        drawn = torch.rand(7, len(images), generator=generator).to(images.device).mul_(2).sub_(1)
        mirrored = drawn[6].sign() if self.flip == "horizontal" else torch.ones_like(drawn[6])
        if not self.strength:
            return torch.where(mirrored[:, None, None, None] < 0, images.flip(3), images)
        aspect = images.shape[3] / images.shape[2]
        theta = self.transformation(drawn * self.strength, mirrored, aspect)
        pixels = to_255(images)
        places = F.affine_grid(theta, list(images.shape), align_corners=False)
        moved = F.grid_sample(pixels, places, padding_mode="border", align_corners=False)
        changed = self.relit(moved, drawn[4:6] * self.strength * GREATEST_BRIGHTENING)
        return from_255(changed, images.dtype)

    def transformation(self, drawn: Tensor, mirrored: Tensor, aspect: float) -> Tensor:
        """float32 ``(N, 2, 3)`` from places in the new image to places in the old one, both in
        [-1, 1]; ``aspect`` keeps the turning rigid where width and height differ."""
        angle = drawn[0] * math.radians(GREATEST_TURN)
        zoom = 1 / (1 + drawn[1] * GREATEST_SCALING).clamp_min(0.1)
        cosine, sine = zoom * angle.cos(), zoom * angle.sin()
        across = torch.stack([cosine * mirrored, -sine / aspect, 2 * GREATEST_SHIFT * drawn[2]], 1)
        down = torch.stack([sine * aspect * mirrored, cosine, 2 * GREATEST_SHIFT * drawn[3]], 1)
        return torch.stack([across, down], 1)

    def relit(self, pixels: Tensor, drawn: Tensor) -> Tensor:
        """Brightness multiplies; contrast multiplies the distance from the image's mean."""
        brightness, contrast = (1 + drawn.clamp_min(-0.9))[..., None, None, None]
        pixels = pixels * brightness
        mean = pixels.mean((1, 2, 3), keepdim=True)
        return pixels.sub_(mean).mul_(contrast).add_(mean)


# Crop and flip: what classifiers of CIFAR-10 are usually trained with.


class CropFlip:
    """A black frame of ``share`` of each side, then a crop of the image's size at a random place
    (He et al. 2016, section 4.2: 4 pixels around 32).

    Args:
        share: width of the frame, relative to the side; 0 leaves only the flip.
        flip: ``horizontal`` mirrors half of the images.
    """

    def __init__(
        self, share: Annotated[float, Interval(ge=0, le=0.5)] = 0.125, flip: Flip = "horizontal"
    ) -> None:
        if not 0 <= share <= 0.5:
            raise ValueError(f"share must be between 0 and 0.5, got {share}")
        self.share = share
        self.flip = flip

    def __repr__(self) -> str:
        return f"CropFlip(share={self.share:g}, flip={self.flip})"

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        count, channels, height, width = images.shape
        down, across = round(height * self.share), round(width * self.share)
        top = torch.randint(2 * down + 1, (count, 1), generator=generator)
        left = torch.randint(2 * across + 1, (count, 1), generator=generator)
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        rows, columns = top + torch.arange(height), left + torch.arange(width)
        if self.flip == "horizontal":
            columns = torch.where(mirrored, columns.flip(1), columns)
        framed = F.pad(images, (across, across, down, down))
        return framed[
            torch.arange(count, device=images.device)[:, None, None, None],
            torch.arange(channels, device=images.device)[:, None, None],
            rows.to(images.device)[:, None, :, None],
            columns.to(images.device)[:, None, None, :],
        ]


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

    TrivialAugment (Müller & Hutter 2021), for a batch at a time.
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
        pixels = to_255(images)
        for number, operation in enumerate(OPERATIONS):
            index = (chosen == number).nonzero()[:, 0]
            if len(index):
                factors = magnitudes[index].to(device), signs[index].to(device)
                index = index.to(device)
                pixels[index] = operation(pixels[index], *factors)
        return from_255(pixels, images.dtype)


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

    whole = pixels.to(torch.uint8)
    if pixels.shape[1] in (1, 3) and torch.equal(whole.float(), pixels):
        return equalized(whole).float()
    return evened(pixels)


def evened(pixels: Tensor) -> Tensor:
    """Histogram equalisation of each band that keeps every level: ``(N, C, H, W)`` in 0..255 by the
    share of pixels at or below each, from the darkest one's on."""
    rows = pixels.flatten(2)
    ordered = rows.sort(-1).values
    below = torch.searchsorted(ordered, rows, right=True).float()
    least = torch.searchsorted(ordered, ordered[..., :1].contiguous(), right=True).float()
    spread = rows.shape[-1] - least
    return torch.where(spread > 0, (below - least) * 255 / spread.clamp_min(1), rows).view_as(
        pixels
    )


OPERATIONS: tuple[Operation, ...] = (
    identity, shear_x, shear_y, translate_x, translate_y, rotate, brightness, color, contrast,
    sharpness, posterize, solarize, autocontrast, equalize,
)  # fmt: skip
