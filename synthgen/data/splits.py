"""Train, holdout and test: cut once, written down, and rebuilt from a recipe to be checked; and
splits to choose with."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthgen.data.assign import SPLITS, assign, connected_units, cut, limits_of
from synthgen.data.levels import preview, require_view, scaled
from synthgen.data.near_duplicates import FIRST_RULE, RULE, NearDuplicates, Rule
from synthgen.data.source import Records, Source
from synthgen.data.tree import Tree
from synthgen.dataset.schema import Recipe, SplitFile
from synthgen.errors import SynthgenError
from synthgen.images import image_hashes, lines_digest
from synthgen.io import write_json
from synthgen.types import LabelledImages

FEWEST_PER_CLASS = 5
SPLIT_FILE = "split.json"


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

    @property
    def public_notes(self) -> tuple[str, ...]:
        """The notes that name no files."""
        return tuple(note for note in self.notes if note not in self.private)

    @property
    def known(self) -> LabelledImages:
        """What a generator may have learned from; while choosing, the held-back part too, after
        the rest."""
        if self.reference == "test":
            return self.train
        parts = (self.train, self.holdout)
        images, labels = (torch.cat([getattr(x, k) for x in parts]) for k in ("images", "labels"))
        return LabelledImages(images, labels, self.train.classes)

    @property
    def held_back(self) -> str:
        """What ``holdout`` holds, in words; see :func:`synthgen.data.splits.for_choosing`."""
        return "holdout" if self.reference == "test" else "held-back training"


def prepare(source: Source) -> Splits:
    """Read a source and divide it, 70/10/20 by default and stratified by class.

    Copies of an image, images of one group and, if asked for, near duplicates share a split.

    Raises:
        SynthgenError: a file can't be read, a class has fewer than 5 images, or one can't be in
            every split.
    """
    return divide(source, source.read())


def divide(
    source: Source, records: Records, near: NearDuplicates | None = None, rule: Rule = RULE
) -> Splits:
    """Divide what ``source`` holds as its options say.

    70/10/20 by default, stratified by class. Copies of an image, images of one group and, if asked
    for, near duplicates always share a split. A training image equal (or nearly) to an official
    test or holdout image is dropped. ``near``: the near duplicates, if they were sought already;
    else ``rule`` says what counts as one.
    Raises SynthgenError for a class with fewer than 5 images or one that can't be in every split.
    """
    images = records.images
    _require_enough(images)
    require_view(source.view, images.image.channels)
    hashes = image_hashes(images.images)
    names = [images.classes[label] for label in images.labels.tolist()]
    shown = preview(images).images
    near = near or NearDuplicates.among(source.near_duplicates, shown, names, hashes, rule)
    together = (records.groups, *near.columns)
    split = _assigned(source, hashes, names, records, near)
    positions: dict[str, list[int]] = {part: [] for part in SPLITS}
    for i in sorted(range(len(hashes)), key=lambda i: (hashes[i], names[i])):
        if split[i] is not None:
            positions[str(split[i])].append(i)
    if source.at_most is not None:
        positions = cut(positions, images, limits_of(source.at_most, images.classes))
    images, level_notes = scaled(images, positions["train"], source.range, source.bits)
    images = replace(images, view=None if source.view is None else tuple(source.view))
    final = hashes if images.levels is None else image_hashes(images.images)
    positions = _without_copies(positions, final)
    parts = {part: images.subset(found) for part, found in positions.items()}
    _require_every_class(parts, records.split)
    notes = (
        *records.notes,
        *level_notes,
        *_copy_notes(hashes, names),
        *near.notes(split),
        *_drop_notes(split),
    )
    kept = [i for found in positions.values() for i in found]
    groups = {part: _groups_of(found, hashes, *together) for part, found in positions.items()}
    parts = {part: replace(found, groups=groups[part]) for part, found in parts.items()}
    attributes = {part: _attributes_of(found, records) for part, found in positions.items()}
    return Splits(
        train=parts["train"],
        holdout=parts["holdout"],
        test=parts["test"],
        digest=lines_digest(f"{hashes[i]} {split[i]} {names[i]}" for i in kept),
        recipe=_recipe(source, records, fingerprint(records, hashes)),
        assignment={final[i]: str(split[i]) for i in sorted(kept, key=final.__getitem__)},
        notes=notes,
        name=source.name,
        test_groups=groups["test"],
        test_attributes=attributes["test"],
        dropped=sum(part is None for part in split),
        train_groups=groups["train"],
        holdout_groups=groups["holdout"],
        holdout_attributes=attributes["holdout"],
        tree=records.tree,
        private=records.private,
    )


def _without_copies(positions: dict[str, list[int]], hashes: Sequence[str]) -> dict[str, list[int]]:
    """Less the images that became equal, when they were scaled, to one of a stronger split."""
    found: set[str] = set()
    kept = {}
    for part in reversed(SPLITS):
        kept[part] = [i for i in positions[part] if hashes[i] not in found]
        found |= {hashes[i] for i in positions[part]}
    return {part: kept[part] for part in positions}


def _assigned(
    source: Source,
    hashes: Sequence[str],
    names: Sequence[str],
    records: Records,
    near: NearDuplicates,
) -> list[str | None]:
    shares: Any = {"holdout": source.holdout, "test": source.test, "seed": source.split_seed}
    try:
        return assign(hashes, names, records.split, records.groups, *near.columns, **shares)
    except SynthgenError as error:
        what, _, advice = str(error).partition("\n")
        if near.columns:
            what += f" Near duplicates ({near.count:,} images) count as one."
            advice += " data.near_duplicates=warn lets them lie in different splits."
        raise SynthgenError(f"{what}\n{advice}{source.ways_apart(records)}") from error


def in_order(records: Records, classes: Sequence[str]) -> Records:
    """``records`` with its classes numbered in the order of ``classes``, if these are the same
    names; otherwise as they are."""
    images = records.images
    if images.classes == tuple(classes) or sorted(images.classes) != sorted(classes):
        return records
    number = torch.tensor([classes.index(name) for name in images.classes])
    renumbered = replace(images, labels=number[images.labels], classes=tuple(classes))
    return replace(records, images=renumbered)


def rebuild(source: Source, recipe: Recipe, digest: str) -> Splits:
    """Divide ``source`` again as ``recipe`` says, and make sure that it is the same split.

    Args:
        recipe: its size, fit, shares and seed replace those of ``source``.
        digest: ``Splits.digest`` as it was.

    The classes are numbered as the recipe says, since whatever was trained knows them by number:
    older versions had another order (0, 1, 10, 2).

    Raises:
        SynthgenError: the images differ from those that the recipe was written for, or the split
            does, so that test images could have been trained on.
    """
    at_most = recipe.at_most
    source = source.with_options(
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
    records = in_order(source.read(), recipe.classes)
    splits = divide(source, records)
    if splits.digest != digest:  # perhaps of a version that took fewer pictures for the same
        older = divide(source, records, rule=FIRST_RULE)
        splits = older if older.digest == digest else splits
    if splits.recipe.fingerprint != recipe.fingerprint:
        raise SynthgenError(
            f"data={source.kind} does not hold the images that the generator's split was made of "
            f"({splits.recipe.images:,} images here, {recipe.images:,} there), so "
            "test images could have been trained on.\n"
            f"Give the same data as in training ({recipe.source}: {recipe.name}), read with "
            "the same settings (those of the run's config.yaml); what counts is the contents, not "
            "the name."
        )
    if splits.digest != digest:
        raise SynthgenError(
            f"The split rebuilt from its recipe is another one ({splits.digest[:8]} instead of "
            f"{digest[:8]}), so test images could have been trained on.\n"
            "Evaluate with the version of synthgen that trained, or train again."
        )
    return splits


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


def fingerprint(records: Records, hashes: Sequence[str]) -> str:
    """SHA-256 of a source's contents (images, classes, official splits, groups) in any order."""
    classes = records.images.classes
    rows = zip(hashes, records.images.labels.tolist(), records.split, records.groups, strict=True)
    return lines_digest(f"{h} {s or '-'} {classes[y]} / {g or ''}" for h, y, s, g in rows)


def _groups_of(
    positions: Sequence[int], hashes: Sequence[str], *together: Sequence[str | None]
) -> Tensor | None:
    """Numbers of the connected units of some images; None where every image is one of its own."""
    units = connected_units(
        [hashes[position] for position in positions],
        *([keys[position] for position in positions] for keys in together),
    )
    if len(units) == len(positions):
        return None
    numbers = torch.empty(len(positions), dtype=torch.int64)
    for number, unit in enumerate(units):
        numbers[unit] = number
    return numbers


def _attributes_of(positions: Sequence[int], records: Records) -> tuple[str | None, ...] | None:
    return tuple(records.attributes[i] for i in positions) if records.attributes else None


def _recipe(source: Source, records: Records, contents: str) -> Recipe:
    image = records.images.image
    content = {
        "format": SplitFile.FORM,
        "source": source.kind,
        "name": source.name,
        "fingerprint": contents,
        "images": len(records.images),
        "channels": image.channels,
        "size": [image.height, image.width],
        "classes": list(image.classes),
        "fit": source.fit,
        "holdout": source.holdout,
        "test": source.test,
        "split_seed": source.split_seed,
        "at_most": source.at_most,
        "near_duplicates": source.near_duplicates,
        "official": sorted({part for part in records.split if part is not None}),
        "grouped": any(group is not None for group in records.groups),
    }
    unusual = {"range": source.range, "bits": source.bits, "view": source.view}
    usual = {"range": None, "bits": 8, "view": None}
    content |= {key: value for key, value in unusual.items() if value != usual[key]}
    return Recipe.from_json(content, f"The recipe of the split of {source.name}")


def _require_enough(images: LabelledImages) -> None:
    few = [
        (name, count)
        for name, count in zip(images.classes, images.counts, strict=True)
        if count < FEWEST_PER_CLASS
    ]
    if few:
        listed = ", ".join(f"{name!r} ({count})" for name, count in few[:5])
        raise SynthgenError(
            f"Too few images to learn from, at least {FEWEST_PER_CLASS} per class are needed: "
            f"{listed}{', …' if len(few) > 5 else ''}.\n"
            "Add images of these classes, merge them into others, or leave them out."
        )


def _require_every_class(parts: dict[str, LabelledImages], official: Sequence[str | None]) -> None:
    """Only official splits can still lack a class here; the cut ones got one image each."""
    for part, images in parts.items():
        for name, count in zip(images.classes, images.counts, strict=True):
            if count == 0:
                lost = part == "train" and part in official
                reason = " that isn't also in test or holdout" if lost else ""
                raise SynthgenError(
                    f"Class {name!r} has no image in {part}{reason}.\n"
                    "Add some there, or leave the class out everywhere."
                )


def _copy_notes(hashes: Sequence[str], names: Sequence[str]) -> list[str]:
    copies = Counter(hashes)
    extra = len(hashes) - len(copies)
    if not extra:
        return []
    notes = [f"{extra:,} images are exact copies of others; copies always share a split."]
    classes_of = defaultdict(set)
    for image, name in zip(hashes, names, strict=True):
        classes_of[image].add(name)
    several = sum(len(found) > 1 for found in classes_of.values())
    if several:
        notes.append(f"{several:,} images occur under more than one class; look at the labels.")
    return notes


def _drop_notes(split: Sequence[str | None]) -> list[str]:
    """Without names of files, which can hold a patient's: notes go into published reports."""
    dropped = sum(part is None for part in split)
    if not dropped:
        return []
    return [
        f"{dropped:,} images were dropped from training (or holdout) because the same "
        "image (nearly, or its group) is in the official test or holdout set."
    ]


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
