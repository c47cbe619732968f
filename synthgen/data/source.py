"""What every data source has in common: its options, its class names, and the records that it
reads."""

import dataclasses
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self
from unicodedata import category, normalize

from synthgen.data.folders.tree import Tree
from synthgen.data.levels import require_range
from synthgen.errors import SynthgenError
from synthgen.io import require_plain_file
from synthgen.ranges import Band, Count, Inner, Real, Side
from synthgen.types import LabelledImages

if TYPE_CHECKING:
    from synthgen.data.splits import Splits
    from synthgen.dataset.origin import Recipe

# Class names: their order, and which of them can be folders on every system.

NUMBER = re.compile(r"[+-]?[0-9]{1,60}(\.[0-9]{1,60})?")  # whole or decimal, in ASCII
MAX_NAME_BYTES = 200  # file systems stop at 255, and archives put things in front
SET_FILES = frozenset(
    {"manifest.jsonl", "dataset.json", "readme.md", "contact_sheet.html", "contact_sheet.png"}
)  # the last one is of older sets
DEVICE_NAMES = {"con", "prn", "aux", "nul"} | {f"{n}{i}" for n in ("com", "lpt") for i in range(10)}


def label_names(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels in the one order that classes have, whatever they were read from:
    numbers by value (-1, 0, 0.5, 10), names as people sort them (img2 before img10)."""
    distinct = set(labels)
    if all(NUMBER.fullmatch(label) for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (Fraction(label), label)))
    return tuple(sorted(distinct, key=_natural))


def _natural(label: str) -> tuple[list[str | tuple[int, str]], str]:
    """Numbers inside by value; capitals come before small letters, as they always did."""
    parts = re.split(r"([0-9]+)", label)
    return [_digits(part) if place % 2 else part for place, part in enumerate(parts)], label


def _digits(part: str) -> tuple[int, str]:
    """Orders whole numbers of any length, which int() does not read."""
    bare = part.lstrip("0")
    return len(bare), bare


def require_safe_names(classes: tuple[str, ...]) -> None:
    """Refuse, before anything is trained, class names that no set could use as folder names."""
    for name in classes:
        problem = folder_problem(name)
        if problem is not None:
            raise SynthgenError(
                f"The class name {name[:60]!r} can't be the name of a folder: {problem}.\n"
                "Rename the class in the data."
            )
    folded: dict[str, str] = {}
    for name in classes:
        other = folded.setdefault(normalize("NFC", _seen(name).casefold()), name)
        if other == name:
            continue
        if _seen(other) == _seen(name):
            raise SynthgenError(
                f"Two classes look alike, {other!a} and {name!a}, and may be one.\n"
                "Give both the same spelling, or different names."
            )
        raise SynthgenError(
            f"The class {other!r} exists twice, perhaps with other capitals ({name!r}); on many "
            "systems both would be one folder.\nRename or merge them."
        )


def _seen(name: str) -> str:
    """A name as people see it: one form of each letter, one space, no invisible signs."""
    visible = "".join(mark for mark in normalize("NFC", name) if category(mark) != "Cf")
    return " ".join(visible.split())


def folder_problem(name: str) -> str | None:
    """Why ``name`` can't be a folder of a set on every system, or None."""
    problems = {
        "it is empty": not name.strip(),
        "it begins with a dot": name.startswith("."),
        "it ends with a dot or a space": name.endswith((".", " ")),
        'it contains one of / \\ : * ? " < > |': any(mark in name for mark in '/\\:*?"<>|'),
        "it contains a control character": any(category(mark) in ("Cc", "Cs") for mark in name),
        f"it is longer than {MAX_NAME_BYTES} bytes": len(name.encode(errors="replace"))
        > MAX_NAME_BYTES,
        "Windows reserves it": name.split(".")[0].strip().lower() in DEVICE_NAMES,
        "the set has a file of that name": name.lower() in SET_FILES,
    }
    return next((problem for problem, found in problems.items() if found), None)


# No `from __future__ import annotations` in modules with sources: their generated constructors
# must carry real types, which the command line checks values against.

FITS = ("pad", "stretch", "crop")
NEAR_DUPLICATES = ("group", "warn", "ignore")


@dataclasses.dataclass(frozen=True)
class Records:
    """All images of a source, with what its files say about each.

    Attributes:
        images: of one size, with labels; their levels are not scaled yet if they have more than 8
            bits.
        files: a name for each image, for messages.
        split: the official split of each, "train", "holdout" or "test"; None where there is none.
        groups: what must stay together (a patient, a film), or None.
        notes: plain sentences: what was converted, which size was chosen and why.
        attributes: the values of a column by which results are compared (a scanner, a site);
            empty if there is none.
        tree: how folders were read; None for what isn't folders.
        private: those of the notes that may name files, and so patients: no report publishes them.
    """

    images: LabelledImages
    files: Sequence[str]
    split: tuple[str | None, ...]
    groups: tuple[str | None, ...]
    notes: tuple[str, ...]
    attributes: tuple[str | None, ...] = ()
    tree: Tree | None = None
    private: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Where labelled real images come from.

    Args:
        size: height and width of the images, or one number for both; None takes the size
            that most images have, or else the median shape, scaled down to a longer side of 64
            pixels if it is larger.
        fit: how an image of another shape gets there. ``pad`` keeps the aspect and fills the rest
            with the median colour of the image's own border, ``stretch`` ignores the aspect,
            ``crop`` keeps it and cuts off what sticks out on two sides.
        holdout: share of each class held out for choosing; ignored if the source has its own.
        test: share of each class kept for the final test; ignored if the source has its own.
        split_seed: another seed, another split.
        at_most: training images to keep of each class: one number, one per class in class order,
            or by class name (others keep all). The holdout is cut in proportion, the test split
            never. For trying what little or unbalanced data would do.
        range: the levels that become black and white, in images of more than 8 bits: ``[lowest,
            highest]``; ``percentile``, the 0.1st and 99.9th of the training images' levels; None
            takes what the files' headers say, or as many bits as the training images need.
        bits: of the images that are trained on and made: 8, or 16 to keep more levels.
        view: the bands shown as red, green and blue in pictures, counted from 0, or the one shown
            as grey; None: the first three, or the first. Training sees all bands.
        near_duplicates: what becomes of one picture saved twice (re-encoded, a little resized or
            brighter): ``group`` keeps both in one split as copies are, ``warn`` only says how many
            there are, ``ignore`` doesn't look.

        cache: a folder that keeps the images as they were divided, for the next start with the same
            settings; it holds real images. They are read anew once a file's name, size or time has
            changed. For folders of classes and array files; other sources leave it alone.

    Raises:
        SynthgenError: a setting is out of its range, or the shares leave nothing to train on.
    """

    size: Side | list[Side] | None = None
    fit: Literal["pad", "stretch", "crop"] = "pad"
    holdout: Inner = 0.1
    test: Inner = 0.2
    split_seed: int = 0
    at_most: Count | list[Count] | dict[str, Count] | None = None
    near_duplicates: Literal["group", "warn", "ignore"] = "group"
    range: list[Real] | Literal["percentile"] | None = None
    bits: Literal[8, 16] = 8
    view: list[Band] | None = None
    cache: str | None = None

    kind: ClassVar[str]
    reading: ClassVar[tuple[str, ...]] = ()  # settings that a split's recipe keeps of reading

    def __post_init__(self) -> None:
        requested_size(self.size)
        require_range(self.range)
        if self.fit not in FITS:
            raise SynthgenError(
                f"data.fit={self.fit} is unknown.\nChoose one of {', '.join(FITS)}."
            )
        if self.near_duplicates not in NEAR_DUPLICATES:
            raise SynthgenError(
                f"data.near_duplicates={self.near_duplicates} is unknown.\n"
                f"Choose one of {', '.join(NEAR_DUPLICATES)}."
            )
        for key in ("holdout", "test"):
            share = getattr(self, key)
            if not isinstance(share, int | float) or not 0 < share < 1:
                raise SynthgenError(
                    f"data.{key}={share} is not a share.\nGive a number between 0 and 1, like 0.1."
                )
        if self.holdout + self.test >= 1:
            raise SynthgenError(
                f"data.holdout={self.holdout} and data.test={self.test} leave nothing to train on."
                "\nTheir sum must be below 1."
            )

    @property
    def name(self) -> str:
        """A short name for tables and reports."""
        return self.kind

    @property
    def clipping(self) -> Literal["range", "window"] | None:
        """Which setting names ends that levels may lie beyond; None: no level is clipped."""
        return None if self.range is None else "range"

    def watched(self) -> Path | None:
        """The file or folder whose contents alone decide what is read, for ``cache``; None if that
        can't be said."""
        return None

    @abstractmethod
    def read(self) -> Records:
        """All images, converted to one size and one number of channels.

        Raises:
            SynthgenError: a file is missing, damaged or no image; the message names it.
        """

    def with_options(self, **options: Any) -> Self:
        """The same source with other options."""
        return dataclasses.replace(self, **options)

    def divided(self) -> "Splits | None":
        """The splits of a source that is never in memory as a whole; None for all others, which are
        read and then divided."""
        return None

    def as_in(self, recipe: "Recipe") -> Self:
        """The same source with the settings of a recipe."""
        at_most = recipe.at_most
        return self.with_options(
            size=list(recipe.size),
            fit=recipe.fit,
            holdout=recipe.holdout,
            test=recipe.test,
            split_seed=recipe.split_seed,
            at_most=list(at_most) if isinstance(at_most, tuple) else at_most,
            near_duplicates=recipe.near_duplicates,
            range=list(recipe.range) if isinstance(recipe.range, tuple) else recipe.range,
            bits=recipe.bits,
            view=None if recipe.view is None else list(recipe.view),
        ).named_as(recipe.classes)

    def ways_apart(self, records: Records) -> str:
        """Which settings divide what else shares a split, to be said where that can't be done: a
        sentence after a space, or nothing."""
        return ""

    def named_as(self, classes: tuple[str, ...]) -> Self:
        """The same source for a recipe with these ``classes``: some sources called theirs
        otherwise once."""
        return self


def requested_size(size: int | list[int] | None) -> tuple[int, int] | None:
    """``data.size`` as (height, width), or None to choose it from the images."""
    if size is None:
        return None
    sides = [size, size] if isinstance(size, int) else list(size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise SynthgenError(
            f"data.size={size} is not a size.\nGive one number, or [height, width], in pixels."
        )
    return sides[0], sides[1]


def existing(path: str | Path, key: str) -> Path:
    """``path`` with ``~`` expanded, or one sentence that it is missing."""
    found = Path(path).expanduser()
    if not found.exists():
        raise SynthgenError(f"{key}={path} does not exist.\nCheck the path; it may be relative.")
    if not os.access(found, os.R_OK):
        raise SynthgenError(f"{key}={path} can't be read: you have no permission.\nAsk its owner.")
    require_plain_file(found)
    return found
