"""The smallest EXIF block that says one thing: ImageDescription."""

from __future__ import annotations

import struct

from synthgen.errors import SynthgenError

IMAGE_DESCRIPTION, ASCII = 0x010E, 2


def description_exif(text: str) -> bytes:
    """ASCII ``text`` as EXIF (TIFF 6.0, little-endian, one entry), or nothing for no text."""
    if not text:
        return b""
    content = text.encode("ascii") + b"\0"
    content += b"\0" * max(0, 5 - len(content))  # four bytes or less would lie in the entry itself
    header = struct.pack("<2sHI", b"II", 42, 8)
    entry = struct.pack("<HHHII", 1, IMAGE_DESCRIPTION, ASCII, len(content), 8 + 2 + 12 + 4)
    return b"Exif\0\0" + header + entry + struct.pack("<I", 0) + content


def checked_quality(quality: int) -> int:
    if isinstance(quality, bool) or not 1 <= quality <= 100:
        raise SynthgenError(f"format.quality is {quality}, but must be from 1 to 100.")
    return quality
