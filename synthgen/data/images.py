"""From image files of any common kind to 8-bit grey or RGB pixels of one size."""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from synthgen.errors import SynthgenError
from synthgen.io import require_plain_file
from synthgen.progress import track

# Formats of pictures that synthgen doesn't read, told by how their files begin: they are good data
# in another form, not rubbish.

HEAD = 512  # bytes that are looked at
BEGINS = {  # (offset, bytes) -> what such a file is called
    (128, b"DICM"): "DICOM",
    (0, b"\x00\x00\x00\x0cjP  \r\n"): "JPEG 2000",
    (0, b"\xff\x4f\xff\x51"): "JPEG 2000",
    (0, b"\xff\x0a"): "JPEG XL",
    (0, b"\x00\x00\x00\x0cJXL \r\n"): "JPEG XL",
    (4, b"ftypavif"): "AVIF",
    (4, b"ftypavis"): "AVIF",
    (4, b"ftypheic"): "HEIC",
    (4, b"ftypheix"): "HEIC",
    (4, b"ftypmif1"): "HEIF",
    (4, b"ftyp"): "MP4 (a film)",
    (344, b"n+1\x00"): "NIfTI",
    (344, b"ni1\x00"): "NIfTI",
    (0, b"NRRD000"): "NRRD",
    (0, b"ObjectType = Image"): "MetaImage",
    (0, b"\x89HDF\r\n\x1a\n"): "HDF5",
    (0, b"\x93NUMPY"): "NumPy (npy)",
    (0, b"MATLAB 5.0"): "MATLAB",
    (0, b"SIMPLE  ="): "FITS",
    (0, b"v/1\x01"): "OpenEXR",
    (0, b"#?RADIANCE"): "Radiance HDR",
    (0, b"8BPS"): "Photoshop (PSD)",
    (0, b"qoif"): "QOI",
    (0, b"DDS "): "DDS",
    (0, b"\x00\x00\x01\x00"): "ICO",
    (0, b"icns"): "ICNS",
    (0, b"PF\n"): "PFM",
    (0, b"%!PS"): "PostScript (EPS)",
    (0, b"%PDF"): "PDF",
    (0, b"\x1aE\xdf\xa3"): "Matroska (a film)",
    (8, b"AVI LIST"): "AVI (a film)",
}
COMPRESSED = {".nii.gz": "NIfTI", ".svgz": "SVG"}
ENDINGS = {  # for what has no beginning of its own
    ".dcm": "DICOM",
    ".tga": "TGA",
    ".pcx": "PCX",
    ".sgi": "SGI",
    ".svg": "SVG",
    ".mha": "MetaImage",
    ".img": "Analyze or raw",
    ".raw": "raw",
    ".cr2": "camera raw",
    ".nef": "camera raw",
    ".arw": "camera raw",
    ".dng": "camera raw",
}


def foreign_format(path: Path) -> str | None:
    """The name of the format of a file that isn't one of ours; None for what may be anything."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    for (offset, start), name in BEGINS.items():
        if head[offset : offset + len(start)] == start:
            return name
    if b"<svg" in head:
        return "SVG"
    for ending, name in (COMPRESSED | ENDINGS).items():
        if path.name.lower().endswith(ending) and b"\x00" in head:
            return name
    return None


# Choosing one size for all images, and bringing an image to it.

LONGEST_SIDE = 64
BICUBIC = Image.Resampling.BICUBIC


def choose_size(
    sizes: Counter[tuple[int, int]], longest: int | None = LONGEST_SIDE
) -> tuple[tuple[int, int], str]:
    """The commonest (height, width), its longer side at most ``longest`` pixels (None: as it is),
    and a sentence on the choice."""
    common, count = max(sizes.items(), key=lambda item: (item[1], item[0]))
    height, width = common
    scale = 1.0 if longest is None else min(1.0, longest / max(common))
    chosen = max(1, round(height * scale)), max(1, round(width * scale))
    total = sizes.total()
    if len(sizes) == 1:
        reason = f"all {total:,} images are {height} × {width}"
    else:
        reason = (
            f"the commonest of {len(sizes)} sizes, {height} × {width} in {count:,} of {total:,}"
        )
    if scale < 1:
        reason += f", scaled to a longer side of {longest}"
    note = f"Size {chosen[0]} × {chosen[1]} (height × width): {reason}. data.size= sets another."
    return chosen, note


def fit_image(image: Image.Image, size: tuple[int, int], fit: str) -> Image.Image:
    """Bring an L or RGB image to ``size`` (height, width); untouched if it has it already.

    Resizing is bicubic and antialiased. See ``Source.fit`` for the three ways.
    """
    height, width = size
    if image.size == (width, height):
        return image
    if fit == "stretch":
        return _resize(image, width, height)
    scales = width / image.width, height / image.height
    if fit == "crop":
        scale = max(scales)
        left = (image.width - width / scale) / 2
        top = (image.height - height / scale) / 2
        box = (max(0.0, left), max(0.0, top), image.width - left, image.height - top)
        box = (*box[:2], min(box[2], image.width), min(box[3], image.height))
        return image.resize((width, height), BICUBIC, box=box, reducing_gap=3.0)
    scale = min(scales)
    inner_width = min(width, max(1, round(image.width * scale)))
    inner_height = min(height, max(1, round(image.height * scale)))
    inner = _resize(image, inner_width, inner_height)
    canvas = Image.new(image.mode, (width, height), _border_colour(inner))
    canvas.paste(inner, ((width - inner_width) // 2, (height - inner_height) // 2))
    return canvas


def _resize(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), BICUBIC, reducing_gap=3.0)


def _border_colour(image: Image.Image) -> int | tuple[int, ...]:
    """The median, per channel, of the outermost pixels: what the padding least stands out from."""
    pixels = np.asarray(image)
    edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    border = np.sort(np.concatenate(edges), axis=0)
    median = border[len(border) // 2]  # a value that occurs, not a mean of two
    return int(median) if median.ndim == 0 else tuple(int(value) for value in median)


# PIL knows more, but some of the others start programs (EPS) or read formats nobody keeps data in.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
EXTENSIONS = frozenset(
    [
        ".png",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".webp",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".gif",
        ".ppm",
        ".pgm",
        ".pbm",
    ]
)
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
ORIENTATION = 0x0112
BITS, COMPRESSION, PLANES = 258, 259, 284  # tags of TIFF 6.0
MANY_FILES = 2_000
FILES_PER_TASK = 64

Item = TypeVar("Item")
Value = TypeVar("Value")


Problem = Literal["corrupt", "not_image", "unread_format"]


class ImageFileError(SynthgenError):
    """One file that can't be used; ``problem`` is the sentence without the path."""

    def __init__(self, path: Path, kind: Problem, problem: str) -> None:
        advice = "Convert it to PNG" if kind == "unread_format" else "Repair or remove it"
        super().__init__(
            f"{path} {problem}.\n{advice}; `synthgen data check` lists every such file."
        )
        self.path = path
        self.kind = kind
        self.problem = problem


@dataclass(frozen=True)
class Header:
    """What a file says before its pixels are decoded; size as the picture is meant to be seen."""

    mode: str
    height: int
    width: int
    transparent: bool
    turned: bool
    frames: int


def read_header(path: Path) -> Header:
    """Raises ImageFileError for what isn't an image."""
    with _opened(path) as image:
        try:
            orientation = _orientation(image)
            frames = getattr(image, "n_frames", 1)
        except BROKEN as error:
            raise _corrupt(path, error) from error
        width, height = image.size if orientation < 5 else image.size[::-1]
        return Header(image.mode, height, width, _transparent(image), orientation > 1, frames)


def decode(path: Path, size: tuple[int, int], fit: str) -> np.ndarray:
    """uint8 ``(H, W)`` for a grey file, ``(H, W, 3)`` for any other. Raises ImageFileError."""
    with _opened(path) as image:
        try:
            _refuse_planes(image)
            # JPEGs decode to 1/2, 1/4 or 1/8 directly; twice the target leaves room to resample.
            image.draft(None, (2 * max(size), 2 * max(size)))
            image.load()
            upright = ImageOps.exif_transpose(image) if _orientation(image) > 1 else image
            return np.asarray(fit_image(plain(upright), size, fit))
        except BROKEN as error:
            raise _corrupt(path, error) from error


def _refuse_planes(image: Image.Image) -> None:
    """Uncompressed 16-bit colours, stored one channel after the other, come out of Pillow 13 as
    noise (findings/pillow_planar_tiff_is_noise.sh); compressed or pixel by pixel they are right."""
    tags = getattr(image, "tag_v2", {})
    deep = max(tags.get(BITS, (8,))) > 8
    if deep and tags.get(PLANES) == 2 and tags.get(COMPRESSION, 1) == 1:
        raise ValueError("16-bit colours stored plane by plane are misread; save it as PNG")


def plain(image: Image.Image) -> Image.Image:
    """Any mode -> L or RGB. 16-bit levels 0..65535 become 0..255; transparent pixels are laid on
    white. Raises ValueError for pixels without a known range."""
    mode = image.mode
    if mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 or 16 bits")
    if mode == "I" or mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.int64)
        if levels.size and (levels.min() < 0 or levels.max() > 65535):
            raise ValueError("its levels lie outside 0..65535; save it with 8 or 16 bits")
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    if _transparent(image):
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("L" if mode in GREY_MODES else "RGB")
    return image.convert("L" if mode in GREY_MODES else "RGB")


def for_each(
    function: Callable[[Item], Value], items: Sequence[Item], description: str
) -> list[Value]:
    """``[function(item) for item in items]`` on all cores, with progress if there are many."""
    tasks = [items[i : i + FILES_PER_TASK] for i in range(0, len(items), FILES_PER_TASK)]
    shown: Any = track(len(items), description) if len(items) >= MANY_FILES else nullcontext()
    results: list[Value] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool, shown as advance:
        try:
            for part in pool.map(lambda task: [function(item) for item in task], tasks):
                results += part
                if advance is not None:
                    advance(len(part))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def _opened(path: Path) -> Image.Image:
    _require_plain_file(path)
    try:
        return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError as error:
        if path.stat().st_size == 0:
            raise ImageFileError(path, "corrupt", "is an empty file") from error
        known = foreign_format(path)
        if known is not None:
            problem = f"is a file of the format {known}, which synthgen does not read"
            raise ImageFileError(path, "unread_format", problem) from error
        raise ImageFileError(path, "not_image", "is not an image") from error
    except FileNotFoundError as error:
        raise ImageFileError(path, "corrupt", "does not exist") from error
    except BROKEN as error:
        raise _corrupt(path, error) from error


def _require_plain_file(path: Path) -> None:
    """As :func:`synthgen.io.require_plain_file`, as one finding among others."""
    try:
        require_plain_file(path)
    except SynthgenError:
        what = "is a pipe, socket or device, which is not opened"
        raise ImageFileError(path, "not_image", what) from None


def _corrupt(path: Path, error: BaseException) -> ImageFileError:
    reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return ImageFileError(path, "corrupt", f"can't be decoded ({reason})")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; reading it must not decode a PNG, which ``getexif`` does."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _transparent(image: Image.Image) -> bool:
    return image.mode in ALPHA_MODES or "transparency" in image.info
