"""JPEG: by Pillow where it has 8 bits; 9 to 16 bits and lossless ones by libjpeg-turbo in
imagecodecs."""

from __future__ import annotations

from typing import BinaryIO, ClassVar

import imagecodecs
from PIL import UnidentifiedImageError

from synthgen.data.readers.base import BROKEN, Header, Raster, UnreadError
from synthgen.data.readers.pillow import JPEG, PillowReader

STARTS_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # ITU T.81, table B.1
NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
START_OF_SCAN = 0xDA
END = b"\xff\xd9"


class JpegReader(PillowReader):
    """JPEG of any depth."""

    name: ClassVar[str] = "JPEG"
    extensions: ClassVar[frozenset[str]] = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
    broken: ClassVar[tuple[type[Exception], ...]] = (*BROKEN, RuntimeError)

    def begins(self, head: bytes, name: str) -> bool:
        return head.startswith(JPEG)

    def header(self, stream: BinaryIO) -> Header:
        try:
            return super().header(stream)
        except UnidentifiedImageError:
            return self._deep(stream)

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        try:
            return super().read(stream, target)
        except UnidentifiedImageError:
            header = self._deep(stream)
        rest = stream.read()  # from the frame's header on
        if END not in rest:  # which the decoder would fill with grey
            raise ValueError("the file is cut short")
        stream.seek(0)
        levels = imagecodecs.jpeg_decode(stream.read())
        return Raster(header, levels[..., 0] if levels.ndim == 3 and header.bands == 1 else levels)

    def _deep(self, stream: BinaryIO) -> Header:
        """The header of a sound file that Pillow doesn't know. Raises UnidentifiedImageError if it
        isn't one."""
        stream.seek(0)
        found = _frame(stream)
        if found is None:
            raise UnidentifiedImageError("no start of a frame")
        bits, height, width, bands = found
        if not 8 <= bits <= 16:
            raise UnidentifiedImageError(f"{bits} bits")
        if bands not in (1, 3):
            raise UnreadError(f"is a JPEG of {bands} bands of {bits} bits, not read yet")
        self.sized(height, width, bands)
        return Header("JPEG", height, width, bands, bits=bits)


def _frame(stream: BinaryIO) -> tuple[int, int, int, int] | None:
    """Bits, height, width and bands by the first frame's header; None if there is none."""
    stream.read(2)
    while True:
        begin = stream.read(2)
        if len(begin) < 2 or begin[0] != 0xFF or begin[1] == START_OF_SCAN:
            return None
        if begin[1] == 0xFF:  # a filling byte
            stream.seek(-1, 1)
            continue
        if begin[1] in NO_LENGTH:
            continue
        length = int.from_bytes(stream.read(2), "big")
        if begin[1] in STARTS_OF_FRAME:
            found = stream.read(6)
            if len(found) < 6:
                return None
            height, width = int.from_bytes(found[1:3], "big"), int.from_bytes(found[3:5], "big")
            return found[0], height, width, found[5]
        stream.seek(max(0, length - 2), 1)
