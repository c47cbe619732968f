"""DiffAugment: a few augmentations one after another, always on."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from synthgen.gan.augmentations.base import Augmentation, uniform, warp
from synthgen.ranges import Share, Spread
from synthgen.seeds import BatchGenerator
from synthgen.types import ImageSpec

# Brightness, saturation and contrast, drawn per image.


class Brightness(Augmentation):
    """Adds U(-strength, strength) to all pixels (Zhao et al. 2020, section 3.2, "color")."""

    def __init__(self, strength: Spread = 0.5) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, images: Tensor, random: BatchGenerator) -> Tensor:
        return images + uniform(images, -self.strength, self.strength, random)


class Saturation(Augmentation):
    """Scales what distinguishes the channels by U(1 - strength, 1 + strength) (Zhao et al. 2020,
    section 3.2, "color"). A grey image stays as it is."""

    def __init__(self, strength: Spread = 1.0) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, images: Tensor, random: BatchGenerator) -> Tensor:
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

    def forward(self, images: Tensor, random: BatchGenerator) -> Tensor:
        factor = uniform(images, 1 - self.strength, 1 + self.strength, random)
        return torch.lerp(images.mean(dim=(1, 2, 3), keepdim=True), images, factor)


# A rectangle of each image hidden.


class Cutout(Augmentation):
    """Hides a rectangle with sides ``share`` of the image's in mid-grey (Zhao et al. 2020, section
    3.2, "cutout"). Its centre is anywhere in the image, so part of it may lie outside."""

    def __init__(self, share: Share = 0.5) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"share must be between 0 and 1, got {share}")
        self.share = share

    def forward(self, images: Tensor, random: BatchGenerator) -> Tensor:
        height, width = images.shape[2:]
        rows = self._hidden(len(images), height, random)[:, None, :, None]
        columns = self._hidden(len(images), width, random)[:, None, None, :]
        return images * (~(rows & columns)).to(images.device, images.dtype)

    def _hidden(self, count: int, side: int, random: BatchGenerator) -> Tensor:
        """bool ``(N, side)``: the stretch of one axis that the rectangle covers."""
        length = int(side * self.share + 0.5)
        centres = random.randint(0, side + 1 - length % 2, count, 1)
        first, place = centres - length // 2, torch.arange(side)
        return (place >= first) & (place < first + length)


# Shifts by whole pixels, drawn per image.


class Translation(Augmentation):
    """Moves images by up to ``share`` of their sides (Zhao et al. 2020, section 3.2,
    "translation"); what comes in is mid-grey."""

    def __init__(self, share: Share = 0.125) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"share must be between 0 and 1, got {share}")
        self.share = share

    def forward(self, images: Tensor, random: BatchGenerator) -> Tensor:
        count, _, height, width = images.shape
        back = torch.eye(3).repeat(count, 1, 1)
        for row, side in enumerate((width, height)):
            most = int(side * self.share + 0.5)
            back[:, row, 2] = random.randint(-most, most + 1, count).float()
        return warp(images, back, "zeros")


ALWAYS_ENOUGH = 200_000  # training images
MANY = 25_000
log = logging.getLogger(__name__)


class DiffAugment(Augmentation):
    """Augmentations in the given order, all of them on every image (Zhao et al. 2020, eqs. 4 and
    5).

    Args:
        operations: by name; None switches one off.
    """

    def __init__(self, operations: Mapping[str, Augmentation | None]) -> None:
        super().__init__()
        self.operations = nn.ModuleDict({n: one for n, one in operations.items() if one})

    def forward(self, images: Tensor, random: BatchGenerator) -> Tensor:
        for operation in self.operations.values():
            images = operation(images, random)
        return images


class SizedDiffAugment(DiffAugment):
    """DiffAugment with the operations that suit the number of training images (Zhao et al. 2020,
    sections 4.2 and 4.3): none from 200,000, translation and cutout from 25,000, with fewer also
    brightness, saturation and contrast if the images have colours.

    Args:
        training_images: how many there are.
        image: their shape.
    """

    def __init__(self, training_images: int, image: ImageSpec) -> None:
        operations: dict[str, Augmentation | None] = {}
        if training_images < MANY and image.channels > 1:
            operations |= {
                "brightness": Brightness(),
                "saturation": Saturation(),
                "contrast": Contrast(),
            }
        if training_images < ALWAYS_ENOUGH:
            operations |= {"translation": Translation(), "cutout": Cutout()}
        super().__init__(operations)
        chosen = ", ".join(operations) or "no augmentation"
        log.info("DiffAugment for %s training images: %s.", f"{training_images:,}", chosen)
