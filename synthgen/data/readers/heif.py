"""AVIF and HEIC: 8 bits by Pillow, more by imagecodecs; HEIC by pillow-heif, if installed."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import BinaryIO, ClassVar

import imagecodecs
import numpy as np
from PIL import Image, UnidentifiedImageError

from synthgen.data.readers.base import (
    BROKEN,
    Header,
    Raster,
    Reader,
    UnreadError,
    on_white,
    upright,
)
from synthgen.data.readers.pillow import PillowReader, header_of, opened_by_pillow, orientation_of

AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
HIGH, TWELVE = 0x40, 0x20  # bits of the third byte of AV1CodecConfigurationBox


class AvifReader(PillowReader):
    """AVIF of 8, 10 or 12 bits."""

    name: ClassVar[str] = "AVIF"
    extensions: ClassVar[frozenset[str]] = frozenset({".avif"})
    broken: ClassVar[tuple[type[Exception], ...]] = (*BROKEN, RuntimeError)

    def begins(self, head: bytes, name: str) -> bool:
        return bool(AVIF_BRANDS & _brands(head))

    def header(self, stream: BinaryIO) -> Header:
        bits = _av1_bits(stream)
        header = header_of(self._opened(stream))
        return header if bits == 8 else replace(header, bits=bits)

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        bits = _av1_bits(stream)
        image = self._opened(stream)
        if bits == 8:
            stream.seek(0)
            return super().read(stream, target)
        header = replace(header_of(image), bits=bits)
        stream.seek(0)
        levels = imagecodecs.avif_decode(stream.read(), index=0, numthreads=1)
        if header.alpha:
            levels = on_white(levels[..., : header.bands], levels[..., -1], bits)
        return Raster(header, upright(levels, orientation_of(image)))

    def _opened(self, stream: BinaryIO) -> Image.Image:
        try:
            image = opened_by_pillow(stream)
        except UnidentifiedImageError:
            raise ValueError("it is damaged or cut short") from None
        self.sized(image.height, image.width, len(image.getbands()))
        return image


class HeicReader(Reader):
    """HEIC of 8, 10 or 12 bits, upright as its file says."""

    name: ClassVar[str] = "HEIC"
    extensions: ClassVar[frozenset[str]] = frozenset({".heic", ".heif"})
    broken: ClassVar[tuple[type[Exception], ...]] = (*BROKEN, RuntimeError)

    def begins(self, head: bytes, name: str) -> bool:
        return bool(HEIC_BRANDS & _brands(head))

    def header(self, stream: BinaryIO) -> Header:
        return self._look(stream)[0]

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        header, image = self._look(stream)
        levels = np.asarray(image)
        if header.bits > 8:  # which it moves to the upper ones of 16
            levels = levels >> (16 - header.bits)
        if header.alpha:
            levels = on_white(levels[..., : header.bands], levels[..., -1], header.bits)
            levels = levels[..., 0] if header.bands == 1 else levels
        return Raster(header, levels)

    def _look(self, stream: BinaryIO) -> tuple[Header, object]:
        image = _pillow_heif().open_heif(stream, convert_hdr_to_8bit=False)
        width, height = image.size
        grey = image.mode.startswith(("L", "I"))
        self.sized(height, width, 1 if grey else 3)
        header = Header(
            "HEIC",
            height,
            width,
            1 if grey else 3,
            bits=int(image.info.get("bit_depth", 8)),
            alpha="A" in image.mode.upper() or "a" in image.mode,
            frames=len(image),
        )
        return header, image


def _pillow_heif() -> ModuleType:
    try:
        import pillow_heif
    except ImportError:
        raise UnreadError(
            "is a HEIC picture, which needs the package pillow-heif",
            "Install it: pip install pillow-heif; or convert the picture to PNG or TIFF",
        ) from None
    return pillow_heif


def _brands(head: bytes) -> set[bytes]:
    """The main brand and the others by which a file of the ISO base format says what it is."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    found = {head[8:12]}
    if found <= {b"mif1", b"msf1"}:
        found |= {head[at : at + 4] for at in range(16, end - 3, 4)} & AVIF_BRANDS
    return found - HEIC_BRANDS if found & AVIF_BRANDS else found


def _av1_bits(stream: BinaryIO) -> int:
    """8, 10 or 12, by the first picture's configuration; leaves ``stream`` at its beginning."""
    begin = 0
    content = b""
    while True:
        stream.seek(begin)
        length, kind = stream.read(4), stream.read(4)
        size = int.from_bytes(length, "big")
        if len(kind) < 4 or size < 8:
            break
        if kind == b"meta":
            content = stream.read(size - 8)
            break
        begin += size
    stream.seek(0)
    at = content.find(b"av1C")
    flags = content[at + 6] if 0 <= at < len(content) - 6 else 0
    return 12 if flags & HIGH and flags & TWELVE else 10 if flags & HIGH else 8
