"""Shifts by whole pixels, drawn per image."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.gan.augmentations.base import Augmentation
from synthgen.gan.augmentations.warp import warp
from synthgen.ranges import Share


class Translation(Augmentation):
    """Moves images by up to ``share`` of their sides (Zhao et al. 2020, section 3.2,
    "translation"); what comes in is mid-grey."""

    def __init__(self, share: Share = 0.125) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"share must be between 0 and 1, got {share}")
        self.share = share

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        count, _, height, width = images.shape
        back = torch.eye(3).repeat(count, 1, 1)
        for row, side in enumerate((width, height)):
            most = int(side * self.share + 0.5)
            back[:, row, 2] = torch.randint(-most, most + 1, (count,), generator=random).float()
        return warp(images, back, "zeros")
