"""Crop and affine: the usual classic augmentation of small images."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn import functional as F

GREATEST_SHIFT = 0.125  # of the image's side
GREATEST_ROTATION = 15.0  # degrees
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
        pixels = images.float()
        places = F.affine_grid(theta, list(images.shape), align_corners=False)
        moved = F.grid_sample(pixels, places, padding_mode="border", align_corners=False)
        changed = self.relit(moved, drawn[4:6] * self.strength * GREATEST_BRIGHTENING)
        return changed.round_().clamp_(0, 255).to(torch.uint8)

    def transformation(self, drawn: Tensor, mirrored: Tensor, aspect: float) -> Tensor:
        """float32 ``(N, 2, 3)`` from places in the new image to places in the old one, both in
        [-1, 1]; ``aspect`` keeps the turning rigid where width and height differ."""
        angle = drawn[0] * math.radians(GREATEST_ROTATION)
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
