"""Brightness, saturation and contrast, drawn per image."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.gan.augmentations.base import Augmentation, uniform
from synthgen.ranges import Spread


class Brightness(Augmentation):
    """Adds U(-strength, strength) to all pixels (Zhao et al. 2020, section 3.2, "color")."""

    def __init__(self, strength: Spread = 0.5) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        return images + uniform(images, -self.strength, self.strength, random)


class Saturation(Augmentation):
    """Scales what distinguishes the channels by U(1 - strength, 1 + strength) (Zhao et al. 2020,
    section 3.2, "color"). A grey image stays as it is."""

    def __init__(self, strength: Spread = 1.0) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        factor = uniform(images, 1 - self.strength, 1 + self.strength, random)
        if images.shape[1] == 1:
            return images
        return torch.lerp(images.mean(dim=1, keepdim=True), images, factor)


class Contrast(Augmentation):
    """Scales the distance from the image's mean by U(1 - strength, 1 + strength) (Zhao et al.
    2020, section 3.2, "color")."""

    def __init__(self, strength: Spread = 0.5) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        factor = uniform(images, 1 - self.strength, 1 + self.strength, random)
        return torch.lerp(images.mean(dim=(1, 2, 3), keepdim=True), images, factor)
