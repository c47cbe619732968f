"""Sources that consist of image files: one listing, then the same decoding for all of them."""

import dataclasses
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthgen.data.images import (
    GREY_MODES,
    LONGEST_SIDE,
    Header,
    ImageFileError,
    choose_size,
    decode,
    for_each,
    read_header,
)
from synthgen.data.source import Records, Source, requested_size
from synthgen.errors import SynthgenError
from synthgen.types import LabelledImages


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
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    split: tuple[str | None, ...]
    groups: tuple[str | None, ...]
    problems: tuple[SynthgenError, ...] = ()
    notes: tuple[str, ...] = ()
    attributes: tuple[str | None, ...] = ()


@dataclasses.dataclass(frozen=True)
class Scan:
    """Every listed file, opened: ``pixels`` is uint8 ``(N, C, H, W)``; a file with an error has
    that error in ``errors``, None in ``headers`` if even its header is bad, and black pixels."""

    pixels: torch.Tensor
    headers: tuple[Header | None, ...]
    errors: tuple[ImageFileError | None, ...]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSource(Source):
    """A source made of image files. Subclasses say which files and which labels."""

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
        return scan_files(listing.paths, requested_size(self.size), self.fit, on_error=on_error)


def records_of(listing: Listing, scan: Scan) -> Records:
    """What was read, if every file could be. Raises the first ImageFileError otherwise."""
    for error in filter(None, scan.errors):
        raise error
    return Records(
        LabelledImages(
            scan.pixels, torch.tensor(listing.labels, dtype=torch.int64), listing.classes
        ),
        listing.names,
        listing.split,
        listing.groups,
        listing.notes + scan.notes,
        listing.attributes,
    )


def stop_at(error: ImageFileError) -> None:
    """For ``scan_files``: the first bad file ends the scan."""
    raise error


def go_on(error: ImageFileError) -> None:
    """For ``scan_files``: the error stands in the scan, nothing else happens."""


def scan_files(
    paths: Sequence[Path],
    size: tuple[int, int] | None,
    fit: str,
    *,
    longest: int | None = LONGEST_SIDE,
    on_error: Callable[[ImageFileError], None],
) -> Scan:
    """Read all headers, choose the size if none is given, then decode straight to that size.

    ``longest`` bounds the longer side of a chosen size (None: no bound). ``on_error`` is called
    with each ImageFileError, in file order after each of the two passes.
    """
    found = for_each(_tried(read_header), paths, "Reading image headers")
    headers = tuple(item if isinstance(item, Header) else None for item in found)
    errors = [item if isinstance(item, ImageFileError) else None for item in found]
    for error in filter(None, errors):
        on_error(error)
    readable = [header for header in headers if header is not None]
    notes = []
    if size is None:
        sizes = Counter((header.height, header.width) for header in readable)
        size, note = choose_size(sizes, longest) if sizes else ((1, 1), "")
        notes = [note] if note else []
    stored_grey = all(header.mode in GREY_MODES for header in readable)
    pixels = np.zeros((len(paths), *size, *(() if stored_grey else (3,))), dtype=np.uint8)

    def fill(index: int) -> None:
        image = decode(paths[index], size, fit)
        pixels[index] = image if image.ndim == pixels[index].ndim else image[..., None]

    good = [index for index, header in enumerate(headers) if header is not None]
    for index, outcome in zip(good, for_each(_tried(fill), good, "Decoding images"), strict=True):
        if isinstance(outcome, ImageFileError):
            errors[index] = outcome
            on_error(outcome)
    tensor, channel_notes = channels_first(pixels)
    notes += channel_notes + conversion_notes(readable, size)
    return Scan(tensor, headers, tuple(errors), tuple(notes))


def channels_first(pixels: np.ndarray) -> tuple[torch.Tensor, list[str]]:
    """uint8 ``(N, H, W)`` or ``(N, H, W, 1 or 3)`` -> ``(N, C, H, W)`` and a note if colour images
    that are grey throughout became one channel. One coloured pixel anywhere keeps all three."""
    if pixels.ndim == 3:
        return torch.from_numpy(pixels)[:, None], []
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


def conversion_notes(headers: Sequence[Header], size: tuple[int, int]) -> list[str]:
    """One sentence for each kind of conversion that took place."""
    modes = Counter(header.mode for header in headers)
    counts = {
        f"were brought to {size[0]} × {size[1]}": sum(
            (header.height, header.width) != size for header in headers
        ),
        "were turned upright as their EXIF tag says": sum(header.turned for header in headers),
        "have transparency and were laid on white": sum(header.transparent for header in headers),
        "have 16 bits and were scaled to 8": sum(
            count for mode, count in modes.items() if mode.startswith("I")
        ),
        "hold several pictures, of which the first was taken": sum(
            header.frames > 1 for header in headers
        ),
    }
    notes = [f"{count:,} of {len(headers):,} {what}." for what, count in counts.items() if count]
    if len(modes) > 1:
        listed = ", ".join(f"{mode} {count:,}" for mode, count in modes.most_common())
        notes.append(f"The files mix modes ({listed}); all were converted alike.")
    return notes


def _tried(function: Any) -> Any:
    """``function`` with ImageFileErrors returned instead of raised."""

    def attempt(item: Any) -> Any:
        try:
            return function(item)
        except ImageFileError as error:
            return error

    return attempt
