"""PNG of 16 bits, of which Pillow keeps 8 as soon as there is more than grey; and the plainest PNG
of 8 bits, which libpng decodes in half of Pillow's time."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import BinaryIO, ClassVar

import imagecodecs

from synthgen.data.readers.base import BROKEN, Header, Raster, Reader, on_white, upright
from synthgen.data.readers.pillow import PillowReader, header_of, opened_by_pillow, orientation_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEPTH, COLOUR = 24, 25  # where IHDR, which comes first, has them
PLAIN = {b"\x08\x00": 1, b"\x08\x02": 3}  # depth and colour type -> bands
HARMLESS = frozenset({b"IHDR", b"IDAT", b"IEND", b"tEXt", b"pHYs", b"tIME"})
GREY = (0, 4)  # colour types: without and with transparency


class DeepPngReader(Reader):
    """PNG of 16 bits, by libpng in imagecodecs."""

    name: ClassVar[str] = "imagecodecs PNG"
    extensions: ClassVar[frozenset[str]] = frozenset({".png"})
    broken: ClassVar[tuple[type[Exception], ...]] = (*BROKEN, RuntimeError)

    def begins(self, head: bytes, name: str) -> bool:
        return head.startswith(SIGNATURE) and head[DEPTH : DEPTH + 1] == b"\x10"

    def header(self, stream: BinaryIO) -> Header:
        return self._look(stream)[0]

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        header, orientation = self._look(stream)
        stream.seek(0)
        content = stream.read()
        _require_sums(content)
        levels = imagecodecs.png_decode(content)
        if header.alpha:
            levels = on_white(levels[..., : header.bands], levels[..., -1], 16)
        levels = upright(levels, orientation)
        return Raster(header, levels[..., 0] if levels.ndim == 3 and header.bands == 1 else levels)

    def _look(self, stream: BinaryIO) -> tuple[Header, int]:
        colour = stream.read(COLOUR + 1)[COLOUR]
        stream.seek(0)
        image = opened_by_pillow(stream)
        header = header_of(image)
        bands = 1 if colour in GREY else 3
        self.sized(header.height, header.width, bands)
        return replace(header, bands=bands, bits=16, sample="unsigned"), orientation_of(image)


class PlainPngReader(PillowReader):
    """PNG of 8 bits, grey or RGB, that holds pixels and at most words beside them. Whatever else
    there is (transparency, EXIF, a palette, frames, damage) is left to Pillow."""

    name: ClassVar[str] = "imagecodecs PNG"
    broken: ClassVar[tuple[type[Exception], ...]] = (*BROKEN, RuntimeError)

    def begins(self, head: bytes, name: str) -> bool:
        return head.startswith(SIGNATURE) and head[DEPTH : COLOUR + 1] in PLAIN

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        content = stream.read()
        if not _is_plain(content):
            stream.seek(0)
            return super().read(stream, target)
        width, height = struct.unpack_from(">II", content, len(SIGNATURE) + 8)
        bands = PLAIN[content[DEPTH : COLOUR + 1]]
        self.sized(height, width, bands)
        return Raster(Header("PNG", height, width, bands), imagecodecs.png_decode(content))


def _is_plain(content: bytes) -> bool:
    """Whether there are no chunks but harmless ones, each with its own checksum."""
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        kind, end = content[at + 4 : at + 8], at + 8 + int.from_bytes(content[at : at + 4], "big")
        sound = zlib.crc32(content[at + 4 : end]) == int.from_bytes(content[end : end + 4], "big")
        if kind not in HARMLESS or not sound or end + 4 > len(content):
            return False
        at = end + 4
    return True


def _require_sums(content: bytes) -> None:
    """Raises ValueError unless each chunk has its own checksum and the last one is there: libpng
    would print a warning."""
    at = len(SIGNATURE)
    while content[at + 4 : at + 8] != b"IEND":
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if end + 4 > len(content):
            raise ValueError("the file is cut short")
        if zlib.crc32(content[at + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            raise ValueError("a checksum is wrong")
        at = end + 4
