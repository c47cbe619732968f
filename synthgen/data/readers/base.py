"""What a reader of image files gives: a header, and levels as the file holds them."""

from __future__ import annotations

import io
import struct
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal

import numpy as np
from PIL import Image

from synthgen.errors import SynthgenError
from synthgen.io import require_plain_file

HEAD = 512  # bytes by which a reader is found
BROKEN: tuple[type[Exception], ...] = (
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
)  # what decoders raise for damaged files

Problem = Literal["corrupt", "not_image", "unread_format", "too_large", "other_kind"]
ADVICE = {
    "corrupt": "Repair or remove it",
    "not_image": "Repair or remove it",
    "unread_format": "Convert it to PNG or TIFF",
    "too_large": "If it is meant, data.max_pixels= allows more",
    "other_kind": "Keep images of one kind together",
}
Sample = Literal["unsigned", "signed", "float"]
ExtraBand = Literal["keep", "alpha", "drop"]
Pages = Literal["first", "bands"] | None
MAX_PIXELS = 178_956_970  # Pillow's own limit against files that claim to be huge
BANDS_PER_PIXEL = 4  # that such a limit allows for; a picture of eight bands counts twice


@dataclass(frozen=True)
class Choices:
    """What the files leave open, as settings decide it; see :class:`synthgen.data.FileSource`."""

    max_pixels: int = MAX_PIXELS
    extra_band: ExtraBand = "keep"
    pages: Pages = None


@dataclass(frozen=True)
class FileBytes:
    """A file that lies inside of another (an archive, a table): its name, and what it holds."""

    name: str
    content: bytes


ImageFile = Path | FileBytes


class ImageFileError(SynthgenError):
    """One file that can't be used; ``problem`` is the sentence without the path, ``advice`` the way
    out where it is one of this file's own."""

    def __init__(
        self, file: ImageFile, kind: Problem, problem: str, advice: str | None = None
    ) -> None:
        super().__init__(
            f"{name_of(file)} {problem}.\n{advice or ADVICE[kind]}; `synthgen data check` lists "
            "every such file."
        )
        self.file = file
        self.kind = kind
        self.problem = problem
        self.advice = advice


@dataclass(frozen=True)
class Header:
    """What a file says of itself before its pixels are decoded.

    Attributes:
        format: as people call it: PNG, TIFF, DICOM.
        height: of the picture as it is meant to be seen, in pixels; ``width`` likewise.
        bands: channels, without transparency.
        sample: what a level is: an unsigned or signed whole number, or a real one.
        bits: those of a level that carry information: 12 for 12 bits in 16.
        alpha: there is transparency, which is laid on white.
        turned: the picture was turned upright as the file asks.
        frames: pictures in the file, of which the first is read.
        remarks: decisions, as ends of sentences ("call white zero and were turned"), which are
            counted over all files.
        measured: levels are values in units (as in a CT), whose bits don't say how bright they are.
        group: a key that is equal for files that belong together (of one patient); None: unknown.
    """

    format: str
    height: int
    width: int
    bands: int
    sample: Sample = "unsigned"
    bits: int = 8
    alpha: bool = False
    turned: bool = False
    frames: int = 1
    remarks: tuple[str, ...] = ()
    measured: bool = False
    group: str | None = None

    @property
    def kind(self) -> str:
        """Bands and depth in words; equal for files that are converted alike."""
        names = {1: "grey", 3: "RGB"}
        said = names.get(self.bands, f"{self.bands} bands")
        said += " with transparency" if self.alpha else ""
        if self.sample != "unsigned" or self.bits != 8:
            word = {"unsigned": "", "signed": "signed ", "float": "float "}[self.sample]
            said += f", {word}{self.bits} bit{'s' if self.bits > 1 else ''}"
        return said

    @property
    def shallow(self) -> bool:
        """Whether 8 bits hold every level."""
        return self.sample == "unsigned" and self.bits <= 8


@dataclass(frozen=True)
class Raster:
    """A decoded file: ``levels`` ``(H, W)`` or ``(H, W, bands)`` in native byte order, upright, not
    scaled; of a type that holds what the header says."""

    header: Header
    levels: np.ndarray


class Reader(ABC):
    """Reads one family of files. Any exception in ``broken`` means that a file is damaged; an
    UnreadError that it is sound, and not read."""

    name: ClassVar[str]
    extensions: ClassVar[frozenset[str]] = frozenset()  # in lower case, with the dot
    broken: ClassVar[tuple[type[Exception], ...]] = BROKEN

    def __init__(self, choices: Choices | None = None) -> None:
        self.choices = choices or Choices()

    @abstractmethod
    def begins(self, head: bytes, name: str) -> bool:
        """Whether a file of that name, whose first 512 bytes are ``head``, is one to read."""

    @abstractmethod
    def header(self, stream: BinaryIO) -> Header:
        """Look at the file, at whose beginning ``stream`` stands, without decoding its pixels.

        Raises:
            UnreadError: the file is sound, but of a kind that isn't read.
        """

    @abstractmethod
    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        """Decode it. ``target`` is the (height, width) that it is to be brought to: levels may come
        at any size of at least twice that. Raises UnreadError likewise."""

    def sized(self, height: int, width: int, bands: int) -> None:
        """Raises UnreadError for a size that is more than allowed, before anything is decoded;
        ValueError for none at all."""
        if min(height, width, bands) < 1:
            raise ValueError(f"it claims to be {height} × {width} pixels of {bands} bands")
        most = self.choices.max_pixels
        if height * width * max(bands, BANDS_PER_PIXEL) > most * BANDS_PER_PIXEL:
            said = f" of {bands} bands" if bands > BANDS_PER_PIXEL else ""
            raise UnreadError(
                f"is {height:,} × {width:,} pixels large{said}; data.max_pixels={most} is the most",
                kind="too_large",
            )


class UnreadError(ValueError):
    """``str()`` says what a sound file holds that isn't read: "is a TIFF of complex numbers";
    ``advice`` what to do about it."""

    def __init__(
        self, what: str, advice: str | None = None, kind: Problem = "unread_format"
    ) -> None:
        super().__init__(what)
        self.advice = advice
        self.kind = kind


def name_of(file: ImageFile) -> str:
    return file.name if isinstance(file, FileBytes) else str(file)


def opened(file: ImageFile) -> BinaryIO:
    """Raises ImageFileError for what is missing or no plain file, without opening a pipe."""
    if isinstance(file, FileBytes):
        return io.BytesIO(file.content)
    try:
        require_plain_file(file)
    except SynthgenError:
        what = "is a pipe, socket or device, which is not opened"
        raise ImageFileError(file, "not_image", what) from None
    try:
        return open(file, "rb")
    except FileNotFoundError as error:
        raise ImageFileError(file, "corrupt", "does not exist") from error
    except OSError as error:
        raise corrupt(file, error) from error


def corrupt(file: ImageFile, error: BaseException) -> ImageFileError:
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = said[0].rstrip(".") if said else type(error).__name__
    if reason.endswith(":"):  # and why follows
        reason = " ".join([reason, *said[1:2]]) if said[1:] else reason.rstrip(":")
    return ImageFileError(file, "corrupt", f"can't be decoded ({reason})")


# What several formats ask for.


def on_white(
    levels: np.ndarray, alpha: np.ndarray, bits: int, premultiplied: bool = False
) -> np.ndarray:
    """Unsigned ``(H, W, bands)`` and the opacity of each pixel, of ``bits`` bits, laid on white."""
    top = 2**bits - 1
    opacity = alpha[..., None].astype(np.float64) / top
    colours = levels.astype(np.float64) * (1 if premultiplied else opacity)
    return np.rint(colours + top * (1 - opacity)).clip(0, top).astype(levels.dtype)


def upright(levels: np.ndarray, orientation: int) -> np.ndarray:
    """``(H, W, …)`` as the orientation tag, 1 to 8, says it is to be seen."""
    if orientation > 4:
        levels = levels.swapaxes(0, 1)
    down = orientation in (3, 4, 7, 8)
    left = orientation in (2, 3, 6, 7)
    return levels[:: -1 if down else 1, :: -1 if left else 1]
