"""QOI, the "quite OK image" format, by imagecodecs."""

from __future__ import annotations

from typing import BinaryIO, ClassVar

import imagecodecs

from synthgen.data.readers.base import BROKEN, Header, Raster, Reader, on_white

MAGIC = b"qoif"
END = bytes(7) + b"\x01"


class QoiReader(Reader):
    """RGB of 8 bits, with or without transparency."""

    name: ClassVar[str] = "QOI"
    extensions: ClassVar[frozenset[str]] = frozenset({".qoi"})
    broken: ClassVar[tuple[type[Exception], ...]] = (*BROKEN, RuntimeError)

    def begins(self, head: bytes, name: str) -> bool:
        return head.startswith(MAGIC)

    def header(self, stream: BinaryIO) -> Header:
        head = stream.read(14)
        width, height = (int.from_bytes(head[at : at + 4], "big") for at in (4, 8))
        self.sized(height, width, head[12])
        return Header("QOI", height, width, 3, alpha=head[12] == 4)

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        header = self.header(stream)
        stream.seek(0)
        content = stream.read()
        if not content.endswith(END):
            raise ValueError("the file is cut short")
        levels = imagecodecs.qoi_decode(content)
        return Raster(
            header, on_white(levels[..., :3], levels[..., 3], 8) if header.alpha else levels
        )
