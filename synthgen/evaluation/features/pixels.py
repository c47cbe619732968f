"""The pixels themselves: no network, nothing learned, right for small aligned images only."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from synthgen.evaluation.features.base import Extractor
from synthgen.ranges import BatchSize, Count, Side
from synthgen.types import LabelledImages

MAX_SEARCHED = 100_000


class PixelExtractor(Extractor):
    """All pixels of an image as one row, 0..1, neither centred nor whitened.

    A shift by one pixel counts as a large difference here, so this is a second opinion for small
    aligned images (digits, spectra), not for photographs.

    Args:
        size: longer side of the image that is flattened; larger ones are scaled down (by
            area), smaller ones stay.
    """

    def __init__(
        self, size: Side = 32, batch_size: BatchSize = 500, max_images: Count = 10_000
    ) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        super().__init__(batch_size, max_images)
        self.max_searched = MAX_SEARCHED  # pixels cost nothing, and a copy may be of any image
        self.size = size
        self.name = f"pixels-{size}"

    def prepare(self, train: LabelledImages, seed: int) -> None:
        """Nothing is learned; the name gets the shape that is compared."""
        channels, height, width = train.image.shape
        self.name = f"pixels-{channels}x{'x'.join(map(str, self.scaled(height, width)))}"

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """The shape that a ``height`` × ``width`` image is scaled down to."""
        factor = min(1.0, self.size / max(height, width))
        return max(1, round(height * factor)), max(1, round(width * factor))

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.float() / 255
        size = self.scaled(*images.shape[2:])
        if size != tuple(images.shape[2:]):
            pixels = F.interpolate(pixels, size=size, mode="area")
        return pixels.flatten(1)

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "pixels",
            "features": self.name.removeprefix("pixels-"),
            "preprocessing": f"divided by 255; longer side at most {self.size}",
            "max_images": self.max_images,
        }
