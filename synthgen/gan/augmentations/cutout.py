"""A rectangle of each image hidden."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.gan.augmentations.base import Augmentation
from synthgen.ranges import Share


class Cutout(Augmentation):
    """Hides a rectangle with sides ``share`` of the image's in mid-grey (Zhao et al. 2020, section
    3.2, "cutout"). Its centre is anywhere in the image, so part of it may lie outside."""

    def __init__(self, share: Share = 0.5) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"share must be between 0 and 1, got {share}")
        self.share = share

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        height, width = images.shape[2:]
        rows = self._hidden(len(images), height, random)[:, None, :, None]
        columns = self._hidden(len(images), width, random)[:, None, None, :]
        return images * (~(rows & columns)).to(images.device, images.dtype)

    def _hidden(self, count: int, side: int, random: torch.Generator) -> Tensor:
        """bool ``(N, side)``: the stretch of one axis that the rectangle covers."""
        length = int(side * self.share + 0.5)
        centres = torch.randint(side + 1 - length % 2, (count, 1), generator=random)
        first, place = centres - length // 2, torch.arange(side)
        return (place >= first) & (place < first + length)
