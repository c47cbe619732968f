"""PGM, PPM and PFM, whose highest level may be any number: Pillow stretches it to 8 or 16 bits, and
keeps 8 bits of colours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

import numpy as np

from synthgen.data.readers.base import Header, Raster, Reader

BANDS = {b"P2": 1, b"P3": 3, b"P5": 1, b"P6": 3, b"Pf": 1, b"PF": 3}
TEXT, REAL = (b"P2", b"P3"), (b"Pf", b"PF")
COMMENT = re.compile(rb"#[^\r\n]*")
WORD = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])*([^\s#]+)")
HEADER = 65_536  # bytes in which three numbers are found, whatever comments there are
MOST = 65_535


class NetpbmReader(Reader):
    """PGM and PPM, as text or binary, and PFM of real numbers."""

    name: ClassVar[str] = "Netpbm"
    extensions: ClassVar[frozenset[str]] = frozenset({".pgm", ".ppm", ".pnm", ".pfm"})

    def begins(self, head: bytes, name: str) -> bool:
        return head[:2] in BANDS and head[2:3].isspace()

    def header(self, stream: BinaryIO) -> Header:
        return self._look(stream).header

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        found = self._look(stream)
        header = found.header
        shape = (header.height, header.width, header.bands)
        count = header.height * header.width * header.bands
        stream.seek(found.begins_at)
        if found.kind in TEXT:
            words = COMMENT.sub(b" ", stream.read()).split()[:count]
            levels = np.array(words, dtype=np.int64)
        else:
            content = stream.read(count * found.dtype.itemsize)
            levels = np.frombuffer(content, found.dtype, len(content) // found.dtype.itemsize)
        if levels.size < count:
            raise ValueError("the file is cut short")
        levels = levels.reshape(shape)
        levels = levels[::-1] if found.kind in REAL else found.whole(levels)  # from the bottom up
        levels = np.ascontiguousarray(levels, levels.dtype.newbyteorder("="))
        return Raster(header, levels[..., 0] if header.bands == 1 else levels)

    def _look(self, stream: BinaryIO) -> _Found:
        head = stream.read(HEADER)
        kind, words, at = head[:2], [], 2
        for _ in range(3):
            word = WORD.match(head, at)
            if word is None:
                raise ValueError("its size or highest level is missing")
            words.append(word[1])
            at = word.end()
        width, height = int(words[0]), int(words[1])
        self.sized(height, width, BANDS[kind])
        if kind in REAL:
            dtype = np.dtype("<f4" if float(words[2]) < 0 else ">f4")
            header = Header("PFM", height, width, BANDS[kind], sample="float", bits=32)
            return _Found(kind, header, at + 1, dtype, 0)
        top = int(words[2])
        if not 0 < top <= MOST:
            raise ValueError(f"its highest level is {top}, not between 1 and {MOST}")
        bits, remarks = top.bit_length(), tuple[str, ...]()
        if top != 2**bits - 1:
            bits = 8 if top < 256 else 16
            remarks = (f"have levels up to {top}, which were stretched to {bits} bits",)
        header = Header("PNM", height, width, BANDS[kind], bits=bits, remarks=remarks)
        return _Found(kind, header, at + 1, np.dtype(np.uint8 if top < 256 else ">u2"), top)


@dataclass(frozen=True)
class _Found:
    """The header, where levels begin, how they are stored, and the highest one."""

    kind: bytes
    header: Header
    begins_at: int
    dtype: np.dtype
    top: int

    def whole(self, levels: np.ndarray) -> np.ndarray:
        """uint8 or uint16. Raises ValueError for levels above the highest."""
        if levels.min() < 0 or levels.max() > self.top:
            raise ValueError(f"it holds levels outside of 0 to {self.top}")
        full = 2**self.header.bits - 1
        if full != self.top:
            levels = (levels.astype(np.int64) * full + self.top // 2) // self.top
        return levels.astype(np.uint8 if full < 256 else np.uint16)
