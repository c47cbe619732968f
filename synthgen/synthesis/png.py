"""PNG for many small images of one shape, several times faster than one library call per image."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from torch import Tensor

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPE = {1: 0, 3: 2}  # channels -> grey, RGB
NO_FILTER, SUB_FILTER = 0, 1


def encode_pngs(
    images: Tensor, compress_level: int = 1, marks: Sequence[str] | None = None
) -> list[bytes]:
    """uint8 ``(N, C, H, W)`` with 1 or 3 channels -> the bytes of N PNG files (W3C PNG, 8 bit).
    ``marks``, ASCII, become the text chunk "Source" of each; an empty one none.

    One filter for all rows is chosen by channels: differences of neighbours (Sub) take 14 % off
    photographs, while drawings in grey are smaller without.
    """
    count, channels, height, width = images.shape
    pixels = images.permute(0, 2, 3, 1).reshape(count, height, width * channels).numpy()
    scanlines = np.empty((count, height, 1 + width * channels), dtype=np.uint8)
    scanlines[:, :, 0] = NO_FILTER if channels == 1 else SUB_FILTER
    scanlines[:, :, 1:] = pixels
    if channels > 1:
        scanlines[:, :, 1 + channels :] -= pixels[:, :, :-channels]  # wraps, as the format wants
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPE[channels], 0, 0, 0)
    before, after = SIGNATURE + _chunk(b"IHDR", header), _chunk(b"IEND", b"")
    texts = [b""] * count if marks is None else [_text(mark) for mark in marks]
    return [
        b"".join((before, text, _chunk(b"IDAT", zlib.compress(lines.data, compress_level)), after))
        for lines, text in zip(scanlines, texts, strict=True)
    ]


def _text(mark: str) -> bytes:
    return _chunk(b"tEXt", b"Source\0" + mark.encode("ascii")) if mark else b""


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
