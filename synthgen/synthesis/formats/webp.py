"""WebP files in a folder per class."""

from __future__ import annotations

import io
from collections.abc import Sequence

from torch import Tensor

from synthgen.images import to_pil
from synthgen.ranges import Quality
from synthgen.synthesis.formats.base import ImageFiles
from synthgen.synthesis.formats.exif import checked_quality, description_exif


class WebP(ImageFiles):
    """``quality`` null: lossless; 1 to 100: lossy, smaller. WebP has no grey images: they come back
    as colour ones with equal channels."""

    name = "webp"
    ending = "webp"

    def __init__(self, quality: Quality | None = None) -> None:
        self.quality = None if quality is None else checked_quality(quality)

    def encode_images(self, images: Tensor, marks: Sequence[str]) -> list[bytes]:
        lossless = self.quality is None
        quality = 50 if self.quality is None else self.quality  # lossless: effort, not loss
        return [
            self._encode(image, mark, lossless=lossless, quality=quality)
            for image, mark in zip(images, marks, strict=True)
        ]

    def _encode(self, image: Tensor, mark: str, *, lossless: bool, quality: int) -> bytes:
        buffer = io.BytesIO()
        to_pil(image).convert("RGB").save(
            buffer,
            format="WEBP",
            lossless=lossless,
            quality=quality,
            method=1,
            exif=description_exif(mark),
        )
        return buffer.getvalue()
