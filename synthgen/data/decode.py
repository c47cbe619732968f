"""From image files of any common kind to 8-bit grey or RGB pixels of one size."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from synthgen.data.foreign_formats import foreign_format
from synthgen.data.size import fit_image
from synthgen.errors import SynthgenError
from synthgen.paths import require_plain_file
from synthgen.progress import track

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
    """As :func:`synthgen.paths.require_plain_file`, as one finding among others."""
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
