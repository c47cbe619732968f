"""DiffAugment: a few augmentations one after another, always on."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from synthgen.gan.augmentations.base import Augmentation
from synthgen.gan.augmentations.colour import Brightness, Contrast, Saturation
from synthgen.gan.augmentations.cutout import Cutout
from synthgen.gan.augmentations.translation import Translation
from synthgen.types import ImageSpec

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

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
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
