"""Crop and flip: what classifiers of CIFAR-10 are usually trained with."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn import functional as F

from synthgen.evaluation.judges.crop_affine import Flip


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
