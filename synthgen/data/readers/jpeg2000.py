"""JPEG 2000, as a JP2 file or a bare codestream: levels as stored, by OpenJPEG in imagecodecs.

Boxes and markers are those of ISO/IEC 15444-1, annexes A and I.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, ClassVar

import imagecodecs

from synthgen.data.readers.base import BROKEN, Header, Raster, Reader, Sample, UnreadError
from synthgen.data.readers.samples import ALPHA, PREMULTIPLIED, Meaning, as_stored, with_extra

SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
START = b"\xff\x4f\xff\x51"  # of a codestream: SOC, SIZ
SRGB, GREY, SYCC = 16, 17, 18  # enumerated colour spaces
UNSPECIFIED = 0  # as OpenJPEG writes; in the standard 1-bit pictures whose white is zero
SPACES = {1: "YCbCr (1)", 3: "YCbCr (2)", 4: "YCbCr (3)", 11: "CMY", 12: "CMYK"} | {
    13: "YCCK", 14: "CIELab", 15: "bilevel (2)", 19: "CIEJab", 20: "e-sRGB", 24: "e-sYCC"
}  # fmt: skip
OPACITY = {1: ALPHA, 2: PREMULTIPLIED}  # types of a channel, but for colour (0)
MOST_BITS = 16


class Jpeg2000Reader(Reader):
    """1 to 16 bits, signed or not, any number of components."""

    name: ClassVar[str] = "JPEG 2000"
    extensions: ClassVar[frozenset[str]] = frozenset(
        {".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc", ".jph"}
    )
    broken: ClassVar[tuple[type[Exception], ...]] = (*BROKEN, RuntimeError)

    def begins(self, head: bytes, name: str) -> bool:
        return head.startswith((SIGNATURE, START))

    def header(self, stream: BinaryIO) -> Header:
        return self._look(stream)[0]

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        header, meaning = self._look(stream)
        stream.seek(0)
        samples = imagecodecs.jpeg2k_decode(stream.read(), numthreads=1)
        levels = meaning.levels(samples.reshape(*samples.shape[:2], -1))
        if levels.shape != (header.height, header.width, header.bands):
            raise ValueError(f"it decodes to {' × '.join(map(str, levels.shape))}")
        return Raster(header, levels[..., 0] if header.bands == 1 else levels)

    def _look(self, stream: BinaryIO) -> tuple[Header, Meaning]:
        boxes = _Boxes()
        at = 0 if stream.read(4) == START else _read_boxes(stream, boxes)
        height, width, depths = _size(stream, at)
        self.sized(height, width, len(boxes.palette) or len(depths))
        meaning = _meaning(boxes, depths)
        meaning = with_extra(
            meaning, len(boxes.palette or depths), boxes.opacity, self.choices.extra_band
        )
        header = Header(
            "JPEG 2000",
            height,
            width,
            meaning.bands,
            sample=meaning.sample,
            bits=meaning.bits,
            alpha=meaning.alpha is not None,
            remarks=meaning.remarks,
        )
        return header, meaning


@dataclass
class _Boxes:
    """What a JP2 header says: its colour space (None: it has a profile, or says nothing), the depth
    of each column of its palette, and which channels are opacity."""

    space: int | None = None
    palette: tuple[int, ...] = ()
    opacity: dict[int, int] = field(default_factory=dict)


def _read_boxes(stream: BinaryIO, boxes: _Boxes) -> int:
    """Fill ``boxes``; where the codestream begins."""
    stream.seek(0, 2)
    size = stream.tell()
    for kind, begin, end in _boxes(stream, 0, size):
        if kind == b"jp2h":
            for inner, first, last in _boxes(stream, begin, end):
                stream.seek(first)
                _note(boxes, inner, stream.read(last - first))
        elif kind == b"jp2c":
            return begin
    raise ValueError("it holds no codestream")


def _boxes(stream: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the contents of the boxes in a part of the file."""
    while begin + 8 <= end:
        stream.seek(begin)
        length, kind = struct.unpack(">I4s", stream.read(8))
        first = begin + 8
        if length == 1:
            (length,) = struct.unpack(">Q", stream.read(8))
            first += 8
        last = end if length == 0 else begin + length
        if not first <= last <= end:
            raise ValueError("the file is cut short")
        yield kind, first, last
        begin = last


def _note(boxes: _Boxes, kind: bytes, content: bytes) -> None:
    if kind == b"colr" and content[0] == 1 and boxes.space is None:
        (boxes.space,) = struct.unpack(">I", content[3:7])
    elif kind == b"pclr":
        boxes.palette = tuple(1 + (depth & 0x7F) for depth in content[3 : 3 + content[2]])
    elif kind == b"cdef":
        (count,) = struct.unpack(">H", content[:2])
        for channel, typ, _ in struct.iter_unpack(">HHH", content[2 : 2 + 6 * count]):
            if typ in OPACITY:
                boxes.opacity[channel] = OPACITY[typ]


def _size(stream: BinaryIO, at: int) -> tuple[int, int, list[int]]:
    """Height, width, and the depth of each component, negative if it is signed. Raises UnreadError
    for components of different sizes."""
    stream.seek(at)
    if stream.read(4) != START:
        raise ValueError("its codestream doesn't begin as one")
    fixed = struct.unpack(">HHIIIIIIIIH", stream.read(38))
    right, bottom, left, top = fixed[2:6]
    parts = stream.read(3 * fixed[10])
    if len(parts) < 3 * fixed[10]:
        raise ValueError("the file is cut short")
    if any(step != 1 for at, step in enumerate(parts) if at % 3):
        raise UnreadError("is a JPEG 2000 file whose components differ in size, not read yet")
    depths = [-1 - (one & 0x7F) if one & 0x80 else 1 + one for one in parts[::3]]
    return bottom - top, right - left, depths


def _meaning(boxes: _Boxes, depths: list[int]) -> Meaning:
    """What the components are, but for further ones. Raises UnreadError."""
    found = list(boxes.palette) or depths
    if len(set(found)) > 1:
        listed = ", ".join(f"{depth}" for depth in found)
        raise UnreadError(f"is a JPEG 2000 file whose components differ in depth ({listed} bits)")
    bits = abs(found[0])
    sample: Sample = "signed" if found[0] < 0 else "unsigned"
    if bits > MOST_BITS:
        raise UnreadError(f"is a JPEG 2000 file of {bits} bits, not read yet")
    if boxes.space == SYCC and sample == "signed":
        raise UnreadError("is a JPEG 2000 file of signed levels in sYCC")
    if boxes.space == UNSPECIFIED and found == [1]:
        raise UnreadError("is a JPEG 2000 file of 1 bit, whose white is zero or one")
    if boxes.space not in (None, UNSPECIFIED, SRGB, GREY, SYCC):
        name = SPACES.get(boxes.space, f"number {boxes.space}")
        raise UnreadError(f"is a JPEG 2000 file in the colour space {name}, which is not read")
    colours = 3 if boxes.space != GREY and len(found) >= 3 else 1
    said = ("are in YCbCr and were converted to RGB",) if boxes.space == SYCC else ()
    return Meaning(sample, bits, colours, colours, as_stored, remarks=said)  # converted by OpenJPEG
