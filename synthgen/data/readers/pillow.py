"""Pictures of 8 bits that Pillow reads as they are meant, and its grey ones of 16."""

from __future__ import annotations

from typing import BinaryIO, ClassVar

import numpy as np
from PIL import Image, ImageOps

from synthgen.data.readers.base import Header, Raster, Reader, UnreadError

# Pillow knows more, but some of the others start programs (EPS) or read formats nobody keeps data
# in.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
BEGINS = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"GIF8", b"II*\x00", b"MM\x00*", b"II+\x00",
    b"MM\x00+", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6",
)  # fmt: skip
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
COLOUR_SPACES = frozenset({"CMYK", "YCbCr", "LAB", "HSV"})
ORIENTATION = 0x0112
BITS, COMPRESSION, PLANES = 258, 259, 284  # tags of TIFF 6.0
TOP = 65535  # of 16 bits


class PillowReader(Reader):
    """PNG, JPEG, WebP, BMP, TIFF, GIF and the PNM family."""

    name: ClassVar[str] = "Pillow"
    extensions: ClassVar[frozenset[str]] = frozenset(
        {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff"}
        | {".gif", ".ppm", ".pgm", ".pbm"}
    )

    def begins(self, head: bytes, name: str) -> bool:
        return head.startswith(BEGINS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")

    def header(self, stream: BinaryIO) -> Header:
        return header_of(Image.open(stream, formats=FORMATS))

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        image = Image.open(stream, formats=FORMATS)
        header = header_of(image)
        _refuse_planes(image)
        if target is not None:
            # JPEGs decode to 1/2, 1/4 or 1/8 directly; twice the target leaves room to resample.
            image.draft(None, (2 * max(target), 2 * max(target)))
        image.load()
        upright = ImageOps.exif_transpose(image) if header.turned else image
        return Raster(header, levels_of(upright))


def header_of(image: Image.Image) -> Header:
    orientation = _orientation(image)
    width, height = image.size if orientation < 5 else image.size[::-1]
    return Header(
        str(image.format),
        height,
        width,
        bands=1 if image.mode in GREY_MODES else 3,
        sample="float" if image.mode == "F" else "unsigned",
        bits=16 if image.mode.startswith("I") else 32 if image.mode == "F" else 8,
        alpha=_transparent(image),
        turned=orientation > 1,
        frames=getattr(image, "n_frames", 1),
        remarks=(f"are in {image.mode} and were converted to RGB",)
        if image.mode in COLOUR_SPACES
        else (),
    )


def levels_of(image: Image.Image) -> np.ndarray:
    """uint8 ``(H, W)`` or ``(H, W, 3)``, transparent pixels laid on white; uint16 ``(H, W)`` for
    grey of 16 bits. Raises ValueError or UnreadError."""
    mode = image.mode
    if mode == "F":
        raise UnreadError("holds floating-point pixels, which are read from TIFF only")
    if mode == "I" or mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.int64)
        if levels.size and (levels.min() < 0 or levels.max() > TOP):
            raise ValueError("its levels lie outside 0..65535; save it with 8 or 16 bits")
        return levels.astype(np.uint16)
    plain = "L" if mode in GREY_MODES else "RGB"
    if _transparent(image):
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return np.asarray(Image.alpha_composite(white, layer).convert(plain))
    return np.asarray(image.convert(plain))


def _refuse_planes(image: Image.Image) -> None:
    """Uncompressed 16-bit colours, stored one channel after the other, come out of Pillow 13 as
    noise (findings/pillow_planar_tiff_is_noise.sh); compressed or pixel by pixel they are right."""
    tags = getattr(image, "tag_v2", {})
    deep = max(tags.get(BITS, (8,))) > 8
    if deep and tags.get(PLANES) == 2 and tags.get(COMPRESSION, 1) == 1:
        raise ValueError("16-bit colours stored plane by plane are misread; save it as PNG")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; reading it must not decode a PNG, which ``getexif`` does."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _transparent(image: Image.Image) -> bool:
    return image.mode in ALPHA_MODES or "transparency" in image.info
