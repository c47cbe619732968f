"""Sources that consist of image files: one listing, then the same decoding for all of them."""

import dataclasses
import functools
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image

from synthgen.data.folders.tree import Tree
from synthgen.data.form import Form, scale_of
from synthgen.data.images import LONGEST_SIDE, fit_levels, for_each, padding_share
from synthgen.data.levels import UnscaledImages, fill_open_bits, scale, stored_type
from synthgen.data.readers import (
    READERS,
    Choices,
    Header,
    ImageFile,
    ImageFileError,
    Reader,
    image_readers,
    read_header,
    read_levels,
)
from synthgen.data.readers.base import MAX_PIXELS, ExtraBand, Pages
from synthgen.data.source import Records, Source, requested_size
from synthgen.errors import SynthgenError
from synthgen.images import TOP, eight_bits
from synthgen.ranges import Count
from synthgen.types import ImageSpec, LabelledImages


@dataclasses.dataclass(frozen=True)
class Listing:
    """The files of a source, before any is opened; all but ``problems`` and ``notes`` per file.

    Attributes:
        names: the paths as people should see them, relative to the root.
        labels: positions in ``classes``.
        split: the official split, "train", "holdout" or "test", or None.
        groups: what must stay together (a patient, a film), or None.
        problems: what the layout gets wrong: reading raises the first, ``data check`` lists all.
        attributes: values by which results are compared; empty if there are none.
        tree: how folders were read; None for what isn't folders.
    """

    paths: Sequence[ImageFile]
    names: Sequence[str]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    split: tuple[str | None, ...]
    groups: tuple[str | None, ...]
    problems: tuple[SynthgenError, ...] = ()
    notes: tuple[str, ...] = ()
    attributes: tuple[str | None, ...] = ()
    tree: Tree | None = None


@dataclasses.dataclass(frozen=True)
class Scan:
    """Every listed file, opened.

    Attributes:
        pixels: ``(N, C, H, W)`` of one size: uint8; or, not scaled yet, uint16, int16 or float32.
            Black where a file has an error.
        headers: None for a file whose very header is bad.
        errors: None for a file that could be read.
        declared: see :class:`UnscaledImages`.
    """

    pixels: torch.Tensor
    headers: tuple[Header | None, ...]
    errors: tuple[ImageFileError | None, ...]
    notes: tuple[str, ...]
    declared: tuple[float, float] | None = None

    def images(self, labels: torch.Tensor, classes: tuple[str, ...]) -> LabelledImages:
        """All of them, with int64 labels ``(N,)``."""
        if self.pixels.dtype == torch.uint8:
            return LabelledImages(self.pixels, labels, classes)
        return UnscaledImages(self.pixels, labels, classes, declared=self.declared)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSource(Source):
    """A source made of image files. Subclasses say which files and which labels.

    Args:
        max_pixels: of one picture; a file that claims to be larger is refused before it is decoded.
            Beyond four bands, more bands count like more pixels.
        extra_band: what becomes of a band beside the colours of a TIFF or JPEG 2000 file: ``keep``
            it as a band, though the file may call it transparency; lay the picture on white through
            it (``alpha``), as PNG and WebP always are; or ``drop`` it.
        pages: of a TIFF with several pages: take the ``first``, or each as one of the picture's
            ``bands``; None takes the first, or what is described as channels as bands, and refuses
            pages that are described as depth, time or anything else.
    """

    max_pixels: Count = MAX_PIXELS
    extra_band: ExtraBand = "keep"
    pages: Pages = None

    reading: ClassVar[tuple[str, ...]] = ("extra_band", "pages")

    @abstractmethod
    def listing(self) -> Listing:
        """Find the files.

        Raises:
            SynthgenError: there is nothing to list; other faults are the listing's ``problems``.
        """

    def read(self) -> Records:
        listing = self.listing()
        self.require_sound(listing)
        return records_of(listing, self.scan(listing, on_error=stop_at))

    def require_sound(self, listing: Listing) -> None:
        """Look at the files as a whole, before any is decoded.

        Raises:
            SynthgenError: the first of the listing's ``problems``.
        """
        if listing.problems:
            raise listing.problems[0]

    def scan(self, listing: Listing, on_error: Callable[[ImageFileError], None]) -> Scan:
        """Open all files; see :func:`scan_files`."""
        return scan_files(
            listing.paths,
            requested_size(self.size),
            self.fit,
            readers=self.readers(),
            mixed=isinstance(self.range, list),
            on_error=on_error,
        )

    def readers(self) -> tuple[Reader, ...]:
        """Those for its files, with its settings."""
        return image_readers(Choices(self.max_pixels, self.extra_band, self.pages))


def records_of(listing: Listing, scan: Scan) -> Records:
    """What was read, if every file could be. Raises the first ImageFileError otherwise."""
    for error in filter(None, scan.errors):
        raise error
    return Records(
        scan.images(torch.tensor(listing.labels, dtype=torch.int64), listing.classes),
        listing.names,
        listing.split,
        groups_of(listing, scan),
        listing.notes + scan.notes,
        listing.attributes,
        listing.tree,
        private=listing.notes,
    )


def groups_of(listing: Listing, scan: Scan) -> tuple[str | None, ...]:
    """What the listing says, else what each file says of itself (its patient)."""
    return tuple(
        known if known is not None or header is None else header.group
        for known, header in zip(listing.groups, scan.headers, strict=True)
    )


def stop_at(error: ImageFileError) -> None:
    """For ``scan_files``: the first bad file ends the scan."""
    raise error


def go_on(error: ImageFileError) -> None:
    """For ``scan_files``: the error stands in the scan, nothing else happens."""


MANY = 2_000  # files, from which on a sample of their headers is a guess that saves a pass
SAMPLE = 200
LEAST_PADDING = 0.001  # a share that is worth a sentence


def scan_files(
    files: Sequence[ImageFile],
    size: tuple[int, int] | None,
    fit: str,
    *,
    longest: int | None = LONGEST_SIDE,
    readers: Sequence[Reader] = READERS,
    mixed: bool = False,
    on_error: Callable[[ImageFileError], None],
) -> Scan:
    """Read all files and bring them to one form, with the size that fits them if none is given.

    Each of many files is opened once if a sample of headers tells what all are like, else twice.
    ``longest`` bounds the longer side of a chosen size (None: no bound). ``mixed``: kinds of levels
    may lie side by side, since their range is given. ``on_error`` is called with each
    ImageFileError, perhaps again when a file is opened again; what it raises first in file order
    ends the scan.
    """
    look = _tried(functools.partial(read_header, readers=readers), on_error)
    sample = files if len(files) < MANY else files[:: len(files) // SAMPLE]
    found = for_each(look, sample, "Reading image headers")
    form = Form.of_headers(_headers(found), size, longest, mixed=mixed)
    while True:
        pixels = np.zeros((len(files), *form.size, form.bands), dtype=form.dtype)
        headers: list[Header | None] = [None] * len(files)
        equal: dict[Header, Header] = {}  # most are, and one for all takes no room
        fill = functools.partial(_fill, files, pixels, headers, equal, form, fit, readers)
        found = for_each(_tried(fill, on_error), range(len(files)), "Reading images")
        known = [header for header in headers if header is not None]
        real = Form.of_headers(known, size, longest, mixed=mixed)
        if real == form or not known:
            break
        form = real
    errors = [item if isinstance(item, ImageFileError) else None for item in found]
    for index, header in enumerate(headers):
        if header is not None and not form.takes(header):
            errors[index] = form.stranger(files[index], header)
            on_error(form.stranger(files[index], header))
    good = [header for header, error in zip(headers, errors, strict=True) if header and not error]
    notes = [real.note] if real.note else []  # of all files, not of a sample
    depth_notes = _share_scale(pixels, headers, errors, form, mixed=mixed) + shares_note(pixels)
    tensor, channel_notes = channels_first(pixels)
    notes += channel_notes + conversion_notes(good, form.size, fit) + depth_notes
    return Scan(tensor, tuple(headers), tuple(errors), tuple(notes), form.declared)


def _share_scale(
    pixels: np.ndarray,
    headers: Sequence[Header | None],
    errors: Sequence[ImageFileError | None],
    form: Form,
    *,
    mixed: bool,
) -> list[str]:
    """Notes on files of several depths, whose ``pixels`` get one scale if no range is given."""
    bits = [
        one.bits if one and error is None and one.sample == "unsigned" else None
        for one, error in zip(headers, errors, strict=True)
    ]
    if form.top == TOP[16]:
        return fill_open_bits(pixels, bits)
    depths = Counter(one for one in bits if one is not None)
    if not mixed or len(depths) < 2:
        return []
    few = min(depths)
    return [
        f"data.range is in the levels of each file, also of the {depths[few]:,} of {few} bits, "
        f"which end at {2**few - 1:,}."
    ]


def _fill(
    files: Sequence[ImageFile],
    pixels: np.ndarray,
    headers: list[Header | None],
    equal: dict[Header, Header],
    form: Form,
    fit: str,
    readers: Sequence[Reader],
    index: int,
) -> None:
    """Decode a file into its row of ``pixels``, if it is of that form, its header into that of
    ``headers``: there also if its levels are none, so that forms are chosen by the same files."""
    raster = read_levels(files[index], form.size, readers)
    headers[index] = equal.setdefault(raster.header, raster.header)
    if form.takes(raster.header):
        levels = fit_levels(form.convert(files[index], raster), form.size, fit)
        pixels[index] = levels if levels.ndim == 3 else levels[..., None]


def shares_note(pixels: np.ndarray) -> list[str]:
    """A sentence if some of the images ``(N, …)`` hold shares, 0 to 1, and others real levels."""
    if pixels.dtype != np.float32:
        return []
    axes = tuple(range(1, pixels.ndim))
    highest = pixels.max(axis=axes)
    shares = int(((pixels.min(axis=axes) >= 0) & (highest > 0) & (highest <= 1)).sum())
    if not shares or highest.max() <= 1:
        return []
    return [
        f"{shares:,} of {len(pixels):,} hold only levels from 0 to 1, others up to "
        f"{highest.max():g}: were the first shares of white, they would be nearly black; look at "
        "them."
    ]


def _headers(found: Iterable[Header | ImageFileError]) -> list[Header]:
    return [item for item in found if isinstance(item, Header)]


def channels_first(pixels: np.ndarray) -> tuple[torch.Tensor, list[str]]:
    """``(N, H, W)`` or ``(N, H, W, C)`` -> ``(N, C, H, W)`` and a note if colour images that are
    grey throughout became one channel. One coloured pixel anywhere keeps all three."""
    if pixels.ndim == 3:
        return torch.from_numpy(pixels)[:, None], []
    if pixels.shape[-1] == 1:
        return torch.from_numpy(pixels[..., 0])[:, None], []
    if pixels.shape[-1] == 3 and all_grey(pixels):
        note = "Every image is grey though stored in colour, so one channel was kept."
        return torch.from_numpy(np.ascontiguousarray(pixels[..., 0]))[:, None], [note]
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), []


def all_grey(pixels: np.ndarray, chunk: int = 256) -> bool:
    """Whether red, green and blue are equal in every pixel of ``(N, H, W, 3)``."""
    for first in range(0, len(pixels), chunk):
        part = pixels[first : first + chunk]
        if (part != part[..., :1]).any():
            return False
    return True


def conversion_notes(
    headers: Sequence[Header], size: tuple[int, int], fit: str = "pad"
) -> list[str]:
    """One sentence for each kind of conversion that took place."""
    kinds = Counter(header.kind for header in headers)
    counts = {
        f"were brought to {size[0]} × {size[1]}": sum(
            (header.height, header.width) != size for header in headers
        ),
        "were turned upright as their EXIF tag says": sum(header.turned for header in headers),
        "have transparency and were laid on white": sum(header.alpha for header in headers),
        "hold several pictures, of which the first was taken": sum(
            header.frames > 1 for header in headers
        ),
    } | Counter(remark for header in headers for remark in header.remarks)
    notes = [f"{count:,} of {len(headers):,} {what}." for what, count in counts.items() if count]
    padding = padding_share(Counter((one.height, one.width) for one in headers), size)
    if fit == "pad" and padding >= LEAST_PADDING:
        notes.append(
            f"Padding fills {padding:.1%} of all pixels; data.fit=crop and data.fit=stretch need "
            "none."
        )
    if len(kinds) > 1:
        listed = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
        notes.append(f"The files mix kinds ({listed}); all were converted alike.")
    return notes


def _tried(function: Any, on_error: Callable[[ImageFileError], None]) -> Any:
    """``function`` with ImageFileErrors told to ``on_error`` and returned instead of raised."""

    def attempt(item: Any) -> Any:
        try:
            return function(item)
        except ImageFileError as error:
            on_error(error)
            return error

    return attempt


def read_as(path: Path, image: ImageSpec, fit: str) -> torch.Tensor:
    """One file as ``(C, H, W)`` of the kind that ``image`` describes: its size, bands and levels.

    Raises:
        ImageFileError: the file can't be read, or has other bands, or levels on another scale.
    """
    raster = read_levels(path, (image.height, image.width))
    header, size = raster.header, (image.height, image.width)
    levels = raster.levels.astype(stored_type(header.sample, header.bits), copy=False)
    levels = fit_levels(levels, size, fit).reshape(*size, header.bands)
    if header.bands == 1:
        levels = levels.repeat(image.channels, axis=2)
    elif header.bands == 3 and image.channels == 1:
        levels = _luma(levels)[..., None]
    if levels.shape[2] != image.channels:
        problem = f"has {header.bands} bands, the images {image.channels}"
        raise ImageFileError(path, "other_kind", problem)
    own = (0.0, 2.0**header.bits - 1) if scale_of(header) == "unsigned" else None
    ends = (image.levels.low, image.levels.high) if image.levels else own
    if own and ends and own[1] < ends[1]:  # as among files of 8 and of more bits, see Form
        ends = own
    planes = torch.from_numpy(np.ascontiguousarray(levels.transpose(2, 0, 1)))[None]
    one = UnscaledImages(planes, torch.zeros(1, dtype=torch.int64), ("",))
    found = None if ends is None else scale(one, ends, image.bits).images[0]
    if found is None or len(eight_bits(found).unique()) == 1 < len(np.unique(levels)):
        problem = (
            f"has levels from {levels.min():g} to {levels.max():g}, on another scale than the "
            f"images ({'0 to 255' if ends is None else f'{ends[0]:g} to {ends[1]:g}'})"
        )
        raise ImageFileError(path, "other_kind", problem, "Give a file like those of the training")
    return found


def _luma(levels: np.ndarray) -> np.ndarray:
    """Red, green and blue ``(H, W, 3)`` of any type as grey, by the weights of ITU-R BT.601, as
    Pillow does with 8 bits."""
    if levels.dtype == np.uint8:
        return np.asarray(Image.fromarray(levels).convert("L"))
    grey = levels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return (grey if levels.dtype.kind == "f" else np.rint(grey)).astype(levels.dtype)
