"""From levels as files hold them to whole numbers of 8 or 16 bits: one scale for a whole set, whose
ends are given or taken from the training images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from synthgen.errors import SynthgenError
from synthgen.images import TOP, bands_shown, top_of
from synthgen.types import LabelledImages, Levels

Range = tuple[float, float]
RangeSetting = list[float] | Literal["percentile"] | None
OUTERMOST = 0.1  # percent at either end that "percentile" leaves out
UNSEEN = 0.5  # percent at either end that is black or white in pictures
FEWEST_BITS, MOST_BITS = 8, 16  # of a range that is chosen
LITTLE = 2  # part of a range, from a half down, that is worth a narrower one
CHUNK = 256  # images scaled at a time
LOOKED_AT = 2**24  # real levels by which percentiles are found


@dataclass(frozen=True)
class UnscaledImages(LabelledImages):
    """Images with the levels of their files: uint8, uint16, int16 or float32 ``(N, C, H, W)``.

    Attributes:
        declared: the lowest and the highest level that the files' own headers allow; None if they
            leave it open.
    """

    DTYPES: ClassVar[tuple[torch.dtype, ...]] = (
        torch.uint8,
        torch.uint16,
        torch.int16,
        torch.float32,
    )

    declared: Range | None = None


def stored_type(sample: str, bits: int) -> np.dtype:
    """The smallest type that holds such levels, and that torch does: real ones have 24 bits."""
    if sample == "unsigned" and bits <= 16:
        return np.dtype(np.uint8 if bits <= 8 else np.uint16)
    return np.dtype(np.int16 if sample == "signed" and bits <= 16 else np.float32)


def widened(levels: np.ndarray, bits: int, top: int) -> np.ndarray:
    """Unsigned levels of ``bits`` bits -> uint8 or uint16, so that their highest becomes ``top``
    (255 or 65535)."""
    dtype = np.dtype(np.uint8 if top == TOP[8] else np.uint16)
    highest = 2**bits - 1
    if highest == top:
        return levels.astype(dtype, copy=False)
    return ((levels.astype(np.int64) * top + highest // 2) // highest).astype(dtype)


def fill_open_bits(pixels: np.ndarray, bits: Sequence[int | None]) -> list[str]:
    """Bring files whose header says 16 bits, but which may use fewer, to the scale of 16 bits by
    the fewest that hold all their levels, in place; a note if that changes them.

    Args:
        pixels: uint16 ``(N, H, W)`` or ``(N, H, W, C)``, where files of fewer bits fill 16 already.
        bits: of each file, by its header; None for a file that wasn't read.
    """
    rows = np.flatnonzero([one == MOST_BITS for one in bits])
    highest = max((int(pixels[row].max(initial=0)) for row in rows), default=0)
    used = max(FEWEST_BITS, highest.bit_length())
    if not highest or used == MOST_BITS:
        return []
    for row in rows:
        pixels[row] = widened(pixels[row], used, TOP[MOST_BITS])
    return [
        f"{len(rows):,} of {len(bits):,} are stored with 16 bits but use {used}: their level "
        f"{2**used - 1:,} is as bright as the highest of the others."
    ]


def choose_range(
    images: UnscaledImages, train: list[int], wanted: RangeSetting
) -> tuple[Range, str]:
    """The lowest and highest level of the scale, and in words where they come from.

    Args:
        train: positions of the training images, by which the ends are chosen.
        wanted: given ends; "percentile" for the 0.1st and the 99.9th of all training levels; None
            for what the headers say, or else: whole numbers from 0 up get as many bits as the
            highest training level needs, real ones in 0..1 that range, all others the training
            images' lowest and highest level.

    Raises:
        SynthgenError: the training images have one level only.
    """
    if isinstance(wanted, list):
        return (float(wanted[0]), float(wanted[1])), "as data.range says"
    if wanted is None and images.declared is not None:
        return images.declared, "black and white as the files say"
    levels = images.images[train].numpy()
    if wanted == "percentile":
        looked = levels.reshape(-1)[:: max(1, levels.size // LOOKED_AT)]
        low, high = np.percentile(looked, [OUTERMOST, 100 - OUTERMOST]).tolist()
        words = f"{OUTERMOST} % of the training levels lie beyond either end"
    else:
        low, high = float(levels.min()), float(levels.max())
        words = "the training images' lowest and highest level"
        if levels.dtype == np.uint16 and high > 0:
            bits = max(FEWEST_BITS, int(high).bit_length())
            (low, high), words = (0.0, 2.0**bits - 1), f"{bits} bits hold every training level"
        elif levels.dtype == np.float32 and low >= 0 and 0 < high <= 1:
            (low, high), words = (0.0, 1.0), "every training level lies in it"
    if not low < high:
        raise SynthgenError(
            f"All training images have the same level ({low:g}), so there is nothing to learn.\n"
            "Look at the files, or give data.range=[lowest,highest]."
        )
    return (low, high), words


def scaled(
    images: LabelledImages, train: list[int], wanted: RangeSetting, bits: int
) -> tuple[LabelledImages, list[str]]:
    """Whole numbers of 8 or 16 bits, and a sentence on their scale; images of 8 bits stay as they
    are unless a range or 16 bits are asked for. Raises SynthgenError, see :func:`choose_range`."""
    if not isinstance(images, UnscaledImages):
        if wanted is None and bits == 8:
            return images, []
        top = (0.0, float(TOP[8]))
        images = UnscaledImages(
            images.images, images.labels, images.classes, images.groups, declared=top
        )
    ends, why = choose_range(images, train, wanted)
    found = scale(images, ends, bits)
    return found, [range_note(images.subset(train), found.subset(train), ends, why)]


def share_outside(images: LabelledImages, train: Sequence[int], ends: Range) -> Range:
    """Which shares of the training images' levels lie below and above ``ends``."""
    pixels = images.images.numpy()
    below = above = total = 0
    for first in range(0, len(train), CHUNK):
        part = pixels[train[first : first + CHUNK]]
        below += int(np.count_nonzero(part < ends[0]))
        above += int(np.count_nonzero(part > ends[1]))
        total += part.size
    return below / max(1, total), above / max(1, total)


def in_parts(images: LabelledImages) -> Iterator[UnscaledImages]:
    """The same a few at a time, to be scaled without a second copy of all."""
    for first in range(0, len(images), CHUNK):
        part = slice(first, first + CHUNK)
        yield UnscaledImages(images.images[part], images.labels[part], images.classes)


def scale(images: UnscaledImages, ends: Range, bits: int) -> LabelledImages:
    """Levels in ``ends`` -> 0..255 or 0..65535; what lies outside is clipped."""
    low, high = ends
    dtype = torch.uint8 if bits == 8 else torch.uint16
    scaled = torch.empty(images.images.shape, dtype=dtype)
    for first in range(0, len(images), CHUNK):
        part = images.images[first : first + CHUNK].double()
        part = part.sub_(low).mul_(TOP[bits] / (high - low)).round_().clamp_(0, TOP[bits])
        scaled[first : first + CHUNK] = part.to(torch.int32).to(dtype)
    meaning = Levels(low, high)
    return LabelledImages(
        scaled, images.labels, images.classes, images.groups, meaning, images.view
    )


def levels_shown(images: LabelledImages, train: Sequence[int]) -> tuple[int, int] | None:
    """The levels that become black and white in pictures, so that what uses a small part of the
    scale can be seen: the 0.5th and the 99.5th percentile of the training images' levels in the
    bands that are shown, or the lowest and the highest where these are one. None where all training
    levels are the same.

    Args:
        images: scaled, uint8 or uint16 ``(N, C, H, W)``.
        train: positions of the training images.
    """
    bands = list(bands_shown(images.images.shape[1], images.view))
    counts = np.zeros(top_of(images.images) + 1, dtype=np.int64)
    pixels = images.images.numpy()
    for first in range(0, len(train), CHUNK):
        part = pixels[train[first : first + CHUNK]][:, bands]
        counts += np.bincount(part.reshape(-1), minlength=len(counts))
    upto = counts.cumsum()
    share = UNSEEN / 100 * upto[-1]
    low, high = (int(place) for place in np.searchsorted(upto, [share, upto[-1] - share]))
    if low == high:
        used = np.flatnonzero(counts)
        low, high = int(used[0]), int(used[-1])
    return (low, high) if low < high else None


def range_note(known: UnscaledImages, found: LabelledImages, ends: Range, why: str) -> str:
    """What the scale does to training images, ``known`` before and ``found`` after, in numbers.
    Raises SynthgenError if it leaves one level of several."""
    before, after = _distinct(known.images.numpy()), _distinct(found.images.numpy())
    bits = found.image.bits
    if after == 1 < before:
        levels = known.images.numpy()
        raise SynthgenError(
            f"Training levels from {levels.min():g} to {levels.max():g} become one level between "
            f"{ends[0]:g} and {ends[1]:g} ({why}).\nGive data.range= ends that suit them, or null."
        )
    below, above = share_outside(known, range(len(known)), ends)
    said = (
        f"Levels {ends[0]:g} to {ends[1]:g} ({why}) become 0 to {TOP[bits]:,}: {before:,} different"
        f" training levels, {after:,} of them kept apart."
    )
    if below or above:
        said += (
            f" {below + above:.2%} lie outside and were clipped ({below:.2%} below, {above:.2%} "
            "above); data.range= sets other ends."
        )
    elif bits == 8 and after < before:
        said += _narrower(known.images.numpy(), ends) + " data.bits=16 keeps more."
    return said


def _narrower(levels: np.ndarray, ends: Range) -> str:
    """That another range would lose less, where the training levels use little of this one."""
    low, high = float(levels.min()), float(levels.max())
    if not low < high or (high - low) * LITTLE > ends[1] - ends[0]:
        return ""
    return f" They use {low:g} to {high:g} only: data.range=[{low:g},{high:g}] keeps more."


def _distinct(levels: np.ndarray) -> int:
    """How many different levels there are."""
    if levels.dtype == np.float32:
        return len(np.unique(levels))
    whole = levels.reshape(-1).astype(np.int32) - int(levels.min(initial=0))
    return int(np.count_nonzero(np.bincount(whole)))


def preview(images: LabelledImages) -> LabelledImages:
    """8 bits, to compare and to look at: unscaled levels between their lowest and highest."""
    if images.images.dtype == torch.uint8:
        return images
    if isinstance(images, UnscaledImages):
        levels = images.images.numpy()
        low, high = (float(levels.min()), float(levels.max())) if levels.size else (0.0, 1.0)
    else:
        low, high = 0.0, float(TOP[16])
    unscaled = UnscaledImages(images.images, images.labels, images.classes, images.groups)
    return scale(unscaled, (low, high if high > low else low + 1), 8)


def require_range(wanted: RangeSetting) -> None:
    """Raises SynthgenError for ends that are none."""
    if isinstance(wanted, list) and not (
        len(wanted) == 2 and wanted[0] < wanted[1] and all(map(math.isfinite, wanted))
    ):
        raise SynthgenError(
            f"data.range={wanted} is no range.\n"
            "Give the lowest and the highest level, like [0,4095]; or percentile, or null."
        )


def require_view(view: list[int] | None, channels: int) -> None:
    """Raises SynthgenError for a view of channels that aren't there."""
    if view is not None and (len(view) not in (1, 3) or max(view) >= channels):
        raise SynthgenError(
            f"data.view={view} can't be shown: the images have {channels} channels, counted from "
            "0.\nName three of them, for red, green and blue, or one, for grey."
        )
