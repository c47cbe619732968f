"""JPEG files in a folder per class."""

from __future__ import annotations

import io
from collections.abc import Sequence

from torch import Tensor

from synthgen.images import to_pil
from synthgen.ranges import Quality
from synthgen.synthesis.formats.base import ImageFiles
from synthgen.synthesis.formats.exif import checked_quality, description_exif


class JPEG(ImageFiles):
    """Lossy: pixels come back changed. Colour keeps its full resolution (4:4:4)."""

    name = "jpeg"
    ending = "jpg"

    def __init__(self, quality: Quality = 95) -> None:
        self.quality = checked_quality(quality)

    def encode_images(self, images: Tensor, marks: Sequence[str]) -> list[bytes]:
        contents = []
        for image, mark in zip(images, marks, strict=True):
            buffer = io.BytesIO()
            to_pil(image).save(
                buffer,
                format="JPEG",
                quality=self.quality,
                subsampling=0,
                exif=description_exif(mark),
            )
            contents.append(buffer.getvalue())
        return contents
