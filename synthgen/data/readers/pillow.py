"""Pictures of 8 bits, which Pillow reads as they are meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, ClassVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.WebPImagePlugin import WebPImageFile

from synthgen.data.readers.base import Header, Raster, Reader

# Pillow knows more, but some of the others start programs (EPS) or read formats nobody keeps data
# in. Opened by their own classes, since Image.open prints a warning for large pictures and refuses
# larger ones by a setting of the whole process.
OPENERS: dict[bytes, Callable[[BinaryIO], Image.Image]] = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"BM": BmpImageFile,
    b"GIF8": GifImageFile,
    b"P1": PpmImageFile,
    b"P4": PpmImageFile,
}
JPEG = b"\xff\xd8\xff"
AVIF = (b"ftypavif", b"ftypavis", b"ftypmif1")  # after the length of the first box
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
COLOUR_SPACES = frozenset({"CMYK", "YCbCr", "LAB", "HSV"})
ORIENTATION = 0x0112


class PillowReader(Reader):
    """PNG, WebP, BMP, GIF and bitmaps (PBM)."""

    name: ClassVar[str] = "Pillow"
    extensions: ClassVar[frozenset[str]] = frozenset(
        {".png", ".webp", ".bmp", ".dib", ".gif", ".pbm"}
    )

    def begins(self, head: bytes, name: str) -> bool:
        return head.startswith(tuple(OPENERS)) or is_webp(head)

    def header(self, stream: BinaryIO) -> Header:
        image = opened_by_pillow(stream)
        self._require_size(image)
        return header_of(image)

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        image = opened_by_pillow(stream)
        self._require_size(image)
        header = header_of(image)
        if target is not None:
            # JPEGs decode to 1/2, 1/4 or 1/8 directly; twice the target leaves room to resample.
            image.draft(None, (2 * max(target), 2 * max(target)))
        image.load()
        upright = ImageOps.exif_transpose(image) if header.turned else image
        return Raster(header, levels_of(upright))

    def _require_size(self, image: Image.Image) -> None:
        self.sized(image.height, image.width, len(image.getbands()))


def is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def opener(head: bytes) -> Callable[[BinaryIO], Image.Image] | None:
    """What opens a file that begins so, one of JPEG and AVIF too."""
    if head.startswith(JPEG):
        return jpeg_factory
    if is_webp(head):
        return WebPImageFile
    if head[4:12] in AVIF:
        return AvifImageFile
    return next((found for start, found in OPENERS.items() if head.startswith(start)), None)


def opened_by_pillow(stream: BinaryIO) -> Image.Image:
    """A file at whose beginning ``stream`` stands, before its pixels are decoded. Raises
    UnidentifiedImageError if it only begins like one."""
    head = stream.read(16)
    stream.seek(0)
    found = opener(head)
    try:
        if found is not None:
            return found(stream)
    except SyntaxError as error:
        raise UnidentifiedImageError(str(error)) from error
    raise UnidentifiedImageError("no format of Pillow's")


def header_of(image: Image.Image) -> Header:
    orientation = orientation_of(image)
    width, height = image.size if orientation < 5 else image.size[::-1]
    return Header(
        str(image.format),
        height,
        width,
        bands=1 if image.mode in GREY_MODES else 3,
        alpha=_transparent(image),
        turned=orientation > 1,
        frames=getattr(image, "n_frames", 1),
        remarks=(f"are in {image.mode} and were converted to RGB",)
        if image.mode in COLOUR_SPACES
        else (),
    )


def levels_of(image: Image.Image) -> np.ndarray:
    """uint8 ``(H, W)`` or ``(H, W, 3)``, transparent pixels laid on white."""
    plain = "L" if image.mode in GREY_MODES else "RGB"
    if _transparent(image):
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return np.asarray(Image.alpha_composite(white, layer).convert(plain))
    return np.asarray(image.convert(plain))


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation 1..8; reading it must not decode a PNG, which ``getexif`` does."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _transparent(image: Image.Image) -> bool:
    return image.mode in ALPHA_MODES or "transparency" in image.info
