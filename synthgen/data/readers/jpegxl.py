"""JPEG XL, as a bare codestream or in its container, by libjxl in imagecodecs.

The size is read before anything is decoded: ISO/IEC 18181-1, SizeHeader.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, ClassVar

import imagecodecs
import numpy as np

from synthgen.data.readers.base import BROKEN, Header, Raster, Reader, Sample, UnreadError, on_white

START = b"\xff\x0a"
CONTAINER = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height
LENGTHS = (9, 13, 18, 30)  # bits of a side
SIZE = 16  # bytes that hold the sides
BANDS = {1: 1, 2: 1, 3: 3, 4: 3}  # with and without transparency


class JpegXlReader(Reader):
    """Up to 16 bits and real levels, grey or RGB; 8 bits with transparency."""

    name: ClassVar[str] = "JPEG XL"
    extensions: ClassVar[frozenset[str]] = frozenset({".jxl"})
    broken: ClassVar[tuple[type[Exception], ...]] = (*BROKEN, RuntimeError)

    def begins(self, head: bytes, name: str) -> bool:
        return head.startswith((START, CONTAINER))

    def header(self, stream: BinaryIO) -> Header:
        return self.read(stream, None).header

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        content = stream.read()
        self.sized(*size_of(content), 1)
        samples = imagecodecs.jpegxl_decode(content, index=0, numthreads=1)
        samples = samples.reshape(*samples.shape[:2], -1)
        height, width, channels = samples.shape
        if channels not in BANDS:
            raise UnreadError(f"is a JPEG XL file of {channels} channels")
        real = samples.dtype.kind == "f"
        bands, bits = BANDS[channels], 32 if real else 8 * samples.dtype.itemsize
        alpha = channels > bands
        if alpha and bits > 8:  # how many of the 16 are used isn't told
            raise UnreadError("is a JPEG XL file of more than 8 bits with transparency")
        levels = samples[..., :bands].astype(np.float32 if real else samples.dtype, copy=False)
        if alpha:
            levels = on_white(levels, samples[..., bands], bits)
        kind: Sample = "float" if real else "unsigned"
        header = Header(self.name, height, width, bands, sample=kind, bits=bits, alpha=alpha)
        return Raster(header, levels[..., 0] if bands == 1 else levels)


def size_of(content: bytes) -> tuple[int, int]:
    """Height and width, as its header says. Raises ValueError for a file that is cut short."""
    begin = 0 if content.startswith(START) else _codestream(content)
    if content[begin : begin + 2] != START or len(content) < begin + 3:
        raise ValueError("its codestream doesn't begin as one")
    bits = _Bits(int.from_bytes(content[begin + 2 : begin + 2 + SIZE], "little"))
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.side()
    ratio = bits.take(3)
    if ratio:
        wide, high = RATIOS[ratio - 1]
        return height, height * wide // high
    return height, 8 * (bits.take(5) + 1) if small else bits.side()


class _Bits:
    """Bits of a header, the lowest first."""

    def __init__(self, value: int) -> None:
        self.value = value

    def take(self, count: int) -> int:
        found = self.value & ((1 << count) - 1)
        self.value >>= count
        return found

    def side(self) -> int:
        return self.take(LENGTHS[self.take(2)]) + 1


def _codestream(content: bytes) -> int:
    """Where the codestream, or its first part, begins in a container."""
    begin = 0
    while begin + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, begin)
        first = begin + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", content, first)
            first += 8
        if kind in (b"jxlc", b"jxlp"):
            return first + (4 if kind == b"jxlp" else 0)
        if length < first - begin:
            break
        begin += length
    raise ValueError("it holds no codestream")
