"""Train, holdout and test: what they are, and how they are written down; and splits to choose
with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from synthgen.data.assign import assign
from synthgen.data.folders.tree import Tree
from synthgen.dataset.origin import Recipe, SplitFile
from synthgen.errors import SynthgenError
from synthgen.images import image_hashes
from synthgen.io import write_json
from synthgen.types import LabelledImages

SPLIT_FILE = "split.json"
MUCH_CLIPPED = 0.01  # of the training levels


@dataclass(frozen=True)
class Splits:
    """The three parts of a source, each ordered by content hash whatever the order of the files.

    Attributes:
        digest: SHA-256 (hex) over which image is in which part.
        recipe: how to divide again; holds nothing about single images, so it may be shared.
        assignment: SHA-256 of an image -> split. Tells who was trained on: it stays with the run.
        test_groups: int64 per test image, equal for images of one group, with the same pixels or
            nearly so: what the test images are independent by; None: each by itself. The same of
            the other parts, so that whoever divides one again keeps groups whole.
        test_attributes: what ``Records.attributes`` says of each test image.
        tree: how folders were read; None for what isn't folders.
    """

    train: LabelledImages
    holdout: LabelledImages
    test: LabelledImages
    digest: str
    recipe: Recipe
    assignment: dict[str, str]
    notes: tuple[str, ...]
    name: str
    reference: str = "test"  # what ``test`` holds: the test split, or the holdout while choosing
    test_groups: Tensor | None = None
    test_attributes: tuple[str | None, ...] | None = None
    dropped: int = 0  # images (of groups) that occur in a stronger official split too
    train_groups: Tensor | None = None
    holdout_groups: Tensor | None = None
    holdout_attributes: tuple[str | None, ...] | None = None
    tree: Tree | None = None
    private: tuple[str, ...] = ()  # notes that no report publishes, see Records
    files: Mapping[str, str] = field(default_factory=dict)  # of a stream: see SplitFile.files

    @property
    def public_notes(self) -> tuple[str, ...]:
        """The notes that name no files."""
        return tuple(note for note in self.notes if note not in self.private)

    @property
    def clipping(self) -> str | None:
        """How much a given range or window clips, in a sentence; None where none is given."""
        if self.recipe.clipped is None:
            return None
        black, white = self.recipe.clipped
        setting = "data.window" if self.recipe.range is None else "data.range"
        if not black + white:
            return f"{setting} clips no training level."
        return (
            f"{setting} clips {black + white:.1%} of the training levels: {black:.1%} to black, "
            f"{white:.1%} to white."
        )

    @property
    def clips_much(self) -> bool:
        """Whether so much is clipped that somebody should look at the range or window."""
        return sum(self.recipe.clipped or ()) > MUCH_CLIPPED

    @property
    def known(self) -> LabelledImages:
        """What a generator may have learned from; while choosing, the held-back part too, after
        the rest."""
        if self.reference == "test":
            return self.train
        parts = (self.train, self.holdout)
        images, labels = (torch.cat([getattr(x, k) for x in parts]) for k in ("images", "labels"))
        return dataclasses.replace(self.train, images=images, labels=labels, groups=None)

    @property
    def held_back(self) -> str:
        """What ``holdout`` holds, in words; see :func:`synthgen.data.splits.for_choosing`."""
        return "holdout" if self.reference == "test" else "held-back training"


def write_split(splits: Splits, run_folder: Path, seen: Iterable[str] = ()) -> None:
    """Write ``split.json`` into the run's folder. It reveals membership: never share it.

    Args:
        seen: SHA-256 of images that the run knows beside its own: of the run whose weights it
            takes.
    """
    content = {
        "format": SplitFile.FORM,
        "digest": splits.digest,
        "recipe": splits.recipe.to_json(),
        "assignment": splits.assignment,
        "seen": sorted(set(seen) - splits.assignment.keys()),
    }
    if splits.files:
        content["files"] = dict(splits.files)
    written = SplitFile.from_json(content, "The split")
    write_json(Path(run_folder) / SPLIT_FILE, written.to_json())


def read_split(run_folder: Path) -> SplitFile | None:
    """The content of ``split.json``; None if the run has none (any more)."""
    path = Path(run_folder) / SPLIT_FILE
    return SplitFile.read(path) if path.is_file() else None


def require_same_split(splits: Splits, run_folder: Path) -> None:
    """Refuse to go on with a run that was divided in another way: it would learn from what it is
    tested on. A run that doesn't know any more how it was divided passes."""
    kept = read_split(run_folder)
    if kept is not None and kept.digest != splits.digest:
        raise SynthgenError(
            f"{run_folder} was trained on another split ({kept.digest[:8]}) than this one "
            f"({splits.digest[:8]}), so test images could be trained on.\n"
            "Go on with the data and split of the run (its split.json), or start a new run."
        )


# Splits to choose with: the holdout in the place of the test split, which stays out of sight.


def for_choosing(splits: Splits) -> Splits:
    """The same data without its test split.

    ``test`` is the holdout, ``holdout`` a part of the training images that is cut off as large a
    share of each class as the holdout was, and ``train`` the rest. The cut depends on the images,
    their groups and the split's seed alone; copies of an image and images of one group stay
    together.
    ``digest`` and ``recipe`` stay those of the split that a generator was trained on; test images
    leave ``assignment``.

    Raises:
        SynthgenError: a class has a single image or group to divide.
    """
    known, reference = splits.train, splits.holdout
    share = len(reference) / (len(known) + len(reference))
    parts = assign(
        image_hashes(known.images) + image_hashes(reference.images),
        [images.classes[i] for images in (known, reference) for i in images.labels.tolist()],
        ["train"] * len(known) + ["test"] * len(reference),
        [*_keys(splits.train_groups, len(known)), *[None] * len(reference)],
        holdout=share,
        test=0.0,  # there is one already
        seed=splits.recipe.split_seed,
    )[: len(known)]
    kept, held = (
        [i for i, part in enumerate(parts) if part == wanted] for wanted in ("train", "holdout")
    )
    train, cut = known.subset(kept), known.subset(held)
    note = (
        f"{len(cut):,} training images were held back to take the holdout's place: the generator "
        "may have learned from them, so copies of them are sought too, but no classifier here does."
    )
    return dataclasses.replace(
        splits,
        train=train,
        holdout=cut,
        test=reference,
        assignment={image: part for image, part in splits.assignment.items() if part != "test"},
        notes=(*splits.notes, note),
        reference="holdout",
        train_groups=None if splits.train_groups is None else splits.train_groups[kept],
        holdout_groups=None if splits.train_groups is None else splits.train_groups[held],
        holdout_attributes=None,
        test_groups=splits.holdout_groups,
        test_attributes=splits.holdout_attributes,
    )


def _keys(groups: Tensor | None, count: int) -> list[str | None]:
    """What :func:`assign` keeps together."""
    return [None] * count if groups is None else [str(number) for number in groups.tolist()]
