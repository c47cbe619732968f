"""PNG files in a folder per class."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.ranges import CompressLevel
from synthgen.synthesis.formats.base import ImageFiles
from synthgen.synthesis.png import encode_pngs


class PNG(ImageFiles):
    """Lossless. ``compress_level`` is zlib's: 0 (none) to 9; above 1 small images hardly shrink."""

    name = "png"
    ending = "png"

    def __init__(self, compress_level: CompressLevel = 1) -> None:
        if not 0 <= compress_level <= 9:
            raise SynthgenError(
                f"format.compress_level is {compress_level}, but must be from 0 to 9."
            )
        self.compress_level = compress_level

    def encode_images(self, images: Tensor, marks: Sequence[str]) -> list[bytes]:
        return encode_pngs(images, self.compress_level, marks)
