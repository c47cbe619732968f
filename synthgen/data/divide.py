"""Train, holdout and test: how a source is divided, and divided again from a recipe."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthgen.data.assign import SPLITS, assign, connected_units, cut, limits_of
from synthgen.data.files import FileSource
from synthgen.data.keep import keep_splits, kept_splits, place_of
from synthgen.data.levels import (
    UnscaledImages,
    levels_shown,
    preview,
    require_view,
    scaled,
    share_outside,
)
from synthgen.data.near_duplicates import FIRST_RULE, RULE, NearDuplicates, Rule
from synthgen.data.reading import differing, read_alike, reading_of, shown
from synthgen.data.source import Records, Source
from synthgen.data.splits import Splits
from synthgen.data.stream.images import StreamedImages
from synthgen.dataset.origin import Recipe, SplitFile
from synthgen.errors import SynthgenError
from synthgen.images import image_hashes, lines_digest
from synthgen.types import LabelledImages, Levels

FEWEST_PER_CLASS = 5


def prepare(source: Source) -> Splits:
    """Read a source and divide it, 70/10/20 by default and stratified by class.

    Copies of an image, images of one group and, if asked for, near duplicates share a split.

    Raises:
        SynthgenError: a file can't be read, a class has fewer than 5 images, or one can't be in
            every split.
    """
    whole = source.divided()
    if whole is not None:
        return whole
    place = place_of(source)
    kept = kept_splits(place)
    if kept is not None:
        return kept
    # Only files are sure to be decoded into memory of their own.
    take = moved if isinstance(source, FileSource) else copied
    splits = divide(source, source.read(), take=take)
    keep_splits(place, splits)
    return splits


Take = Callable[[LabelledImages, Mapping[str, Sequence[int]]], dict[str, LabelledImages]]
"""Images, and positions of some of them by part, none in two -> the parts."""


def copied(
    images: LabelledImages, positions: Mapping[str, Sequence[int]]
) -> dict[str, LabelledImages]:
    """Parts of their own."""
    return {part: images.subset(found) for part, found in positions.items()}


def moved(
    images: LabelledImages, positions: Mapping[str, Sequence[int]]
) -> dict[str, LabelledImages]:
    """Parts that share the pixels of ``images``, which lie in another order afterwards: for images
    that nobody needs any more, and of which there is no room for two."""
    order = [position for found in positions.values() for position in found]
    rest = set(range(len(images))).difference(order)
    put_in_order(images.images.numpy(), [*order, *sorted(rest)])
    parts, first = {}, 0
    for part, found in positions.items():
        pixels = images.images[first : first + len(found)]
        labels = images.labels[torch.tensor(found, dtype=torch.int64)]
        parts[part] = replace(images, images=pixels, labels=labels, groups=None)
        first += len(found)
    return parts


def put_in_order(rows: np.ndarray, order: Sequence[int]) -> None:
    """``rows = rows[order]`` in place, cycle by cycle; ``order`` is a permutation."""
    done = bytearray(len(order))
    for start, source in enumerate(order):
        if done[start] or source == start:
            continue
        saved, at = rows[start].copy(), start
        while (source := order[at]) != start:
            rows[at] = rows[source]
            done[at], at = 1, source
        rows[at], done[at] = saved, 1


def divide(
    source: Source,
    records: Records,
    near: NearDuplicates | None = None,
    rule: Rule = RULE,
    take: Take = copied,
) -> Splits:
    """Divide what ``source`` holds as its options say.

    70/10/20 by default, stratified by class. Copies of an image, images of one group and, if asked
    for, near duplicates always share a split. A training image equal (or nearly) to an official
    test or holdout image is dropped. ``near``: the near duplicates, if they were sought already;
    else ``rule`` says what counts as one. ``take``: how the parts get their pixels.
    Raises SynthgenError for a class with fewer than 5 images or one that can't be in every split.
    """
    images = records.images
    _require_enough(images)
    require_view(source.view, images.image.channels)
    hashes = image_hashes(images.images)
    names = [images.classes[label] for label in images.labels.tolist()]
    _require_own_images(hashes, names)
    shown = preview(images).images
    near = near or NearDuplicates.among(source.near_duplicates, shown, names, hashes, rule)
    split, kept_together = _assigned(source, hashes, names, records, near, shown)
    together = (records.groups, *kept_together.columns)
    positions: dict[str, list[int]] = {part: [] for part in SPLITS}
    for i in sorted(range(len(hashes)), key=lambda i: (hashes[i], names[i])):
        if split[i] is not None:
            positions[str(split[i])].append(i)
    if source.at_most is not None:
        positions = cut(positions, images, limits_of(source.at_most, images.classes))
    images, level_notes = scaled(images, positions["train"], source.range, source.bits)
    images = replace(images, view=None if source.view is None else tuple(source.view))
    if records.images.images.dtype != torch.uint8 or source.range is not None:
        images = replace(images, shown=levels_shown(images, positions["train"]))
    lost = _clipped(source, records.images, positions["train"], images.levels)
    final = hashes if images.levels is None else image_hashes(images.images)
    positions = _without_copies(positions, final)
    _require_every_class(images, positions, records.split)
    notes = (
        *records.notes,
        *level_notes,
        *_copy_notes(hashes, names),
        *kept_together.notes(split),
        *_chain_notes(near, kept_together),
        *_drop_notes(split),
    )
    kept = [i for found in positions.values() for i in found]
    groups = {part: _groups_of(found, hashes, *together) for part, found in positions.items()}
    recipe = _recipe(source, records, fingerprint(records, hashes), lost)
    parts = take(images, positions)
    parts = {part: replace(found, groups=groups[part]) for part, found in parts.items()}
    attributes = {part: _attributes_of(found, records) for part, found in positions.items()}
    return Splits(
        train=parts["train"],
        holdout=parts["holdout"],
        test=parts["test"],
        digest=lines_digest(f"{hashes[i]} {split[i]} {names[i]}" for i in kept),
        recipe=recipe,
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


def _clipped(
    source: Source, stored: LabelledImages, train: Sequence[int], levels: Levels | None
) -> tuple[float, float] | None:
    """Which shares of the training levels a given range or window makes black and white; None where
    none is given."""
    if source.clipping == "range" and levels is not None:
        return share_outside(stored, train, (levels.low, levels.high))
    if source.clipping == "window" and isinstance(stored, UnscaledImages) and stored.declared:
        low, high = stored.declared  # what lay beyond a window lies at its ends
        return share_outside(stored, train, (low + 0.5, high - 0.5))
    return None


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
    shown: Tensor,
) -> tuple[list[str | None], NearDuplicates]:
    """The split of each image, and the near duplicates that were kept together: where all of them
    leave nothing to divide, since one leads to the next, those that stand out."""
    shares: Any = {"holdout": source.holdout, "test": source.test, "seed": source.split_seed}
    try:
        return assign(hashes, names, records.split, records.groups, *near.columns, **shares), near
    except SynthgenError as error:
        alone = near.standing_out(shown, names, hashes) if near.columns else near
        if alone.columns != near.columns:
            with suppress(SynthgenError):
                columns = (records.groups, *alone.columns)
                return assign(hashes, names, records.split, *columns, **shares), alone
        what, _, advice = str(error).partition("\n")
        if near.columns:
            what += f" Near duplicates ({near.count:,} images) count as one."
            advice += " data.near_duplicates=warn lets them lie in different splits."
        raise SynthgenError(f"{what}\n{advice}{source.ways_apart(records)}") from error


def held_in_memory(splits: Splits) -> Splits:
    """The same splits for what looks at all images at once: of a stream, the training images are
    those that stand for all. Splits that are in memory stay as they are."""
    if not isinstance(splits.train, StreamedImages):
        return splits
    every, train = len(splits.train), splits.train.sample
    note = (
        f"The data is a stream: {len(train):,} of {every:,} training images stand for all, so "
        "copies of the others are not found, and classifiers learn from these alone."
    )
    known = dict.fromkeys(image_hashes(train.images), "train")
    return replace(
        splits,
        train=train,
        train_groups=train.groups,
        assignment=known | splits.assignment,
        notes=(*splits.notes, note) if len(train) < every else splits.notes,
    )


def in_order(records: Records, classes: Sequence[str]) -> Records:
    """``records`` with its classes numbered in the order of ``classes``, if these are the same
    names; otherwise as they are."""
    images = records.images
    if images.classes == tuple(classes) or sorted(images.classes) != sorted(classes):
        return records
    number = torch.tensor([classes.index(name) for name in images.classes])
    renumbered = replace(images, labels=number[images.labels], classes=tuple(classes))
    return replace(records, images=renumbered)


def rebuild(
    source: Source, recipe: Recipe, digest: str, files: Mapping[str, str] | None = None
) -> Splits:
    """Divide ``source`` again as ``recipe`` says, and make sure that it is the same split.

    Args:
        recipe: its size, fit, shares and seed replace those of ``source``; what it says of reading
            (a window, columns) holds where ``source`` has the usual settings.
        digest: ``Splits.digest`` as it was.
        files: ``Splits.files`` as they were, to say which one has changed.

    The classes are numbered as the recipe says, since whatever was trained knows them by number:
    older versions had another order (0, 1, 10, 2).

    Raises:
        SynthgenError: the images differ from those that the recipe was written for, or the split
            does, so that test images could have been trained on.
    """
    source, taken = read_alike(source.as_in(recipe), recipe)
    splits = source.divided()
    if splits is None:
        splits = _rebuilt(source, recipe, digest)
    else:
        _require_same(splits, source, recipe, digest, files or {})
    if not taken:
        return splits
    said = " ".join(shown(name, value) for name, value in taken.items())
    return replace(splits, notes=(f"Read as for training: {said}.", *splits.notes))


def _rebuilt(source: Source, recipe: Recipe, digest: str) -> Splits:
    place = place_of(source)
    kept = kept_splits(place)
    if kept is not None and (kept.digest, kept.train.classes) == (digest, recipe.classes):
        return kept
    records = in_order(source.read(), recipe.classes)
    splits = divide(source, records)
    if splits.digest != digest:  # perhaps of a version that took fewer pictures for the same
        older = divide(source, records, rule=FIRST_RULE)
        splits = older if older.digest == digest else splits
    _require_same(splits, source, recipe, digest, {})
    keep_splits(place, splits)
    return splits


def _require_same(
    splits: Splits, source: Source, recipe: Recipe, digest: str, files: Mapping[str, str]
) -> None:
    """Raises SynthgenError if images or split are others than those of a recipe."""
    if splits.recipe.fingerprint != recipe.fingerprint:
        others = [name for name, found in splits.files.items() if files.get(name, found) != found]
        others += [name for name in files if name not in splits.files]
        others += [name for name in splits.files if files and name not in files]
        said = f" {others[0]} is not as it was." if others else ""
        raise SynthgenError(
            f"data={source.kind} does not hold the images that the generator's split was made of "
            f"({splits.recipe.images:,} images here, {recipe.images:,} there), so "
            f"test images could have been trained on.{said}\n"
            f"Give the same data as in training ({recipe.source}: {recipe.name}), read with "
            "the same settings (those of the run's config.yaml); what counts is the contents, not "
            f"the name.{differing(source, recipe)}"
        )
    if splits.digest != digest:
        raise SynthgenError(
            f"The split rebuilt from its recipe is another one ({splits.digest[:8]} instead of "
            f"{digest[:8]}), so test images could have been trained on.\n"
            "Evaluate with the version of synthgen that trained, or train again."
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


def _recipe(
    source: Source, records: Records, contents: str, clipped: tuple[float, float] | None
) -> Recipe:
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
    unusual: dict[str, Any] = {"range": source.range, "bits": source.bits, "view": source.view}
    if clipped is not None:
        unusual["clipped"] = [round(share, 6) for share in clipped]
    usual = {"range": None, "bits": 8, "view": None, "clipped": None}
    content |= {key: value for key, value in unusual.items() if value != usual[key]}
    reading = reading_of(source)
    content |= {"reading": reading} if reading else {}
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


def _require_own_images(hashes: Sequence[str], names: Sequence[str]) -> None:
    """Refuse a class whose images are all images of other classes too: folders that hold the same
    files under other names, or tables that were joined wrongly."""
    first: dict[str, str] = {}
    several: dict[str, set[str]] = defaultdict(set)  # of few images: a set for each takes room
    for image, name in zip(hashes, names, strict=True):
        if first.setdefault(image, name) != name:
            several[image] |= {first[image], name}
    own = {name for image, name in first.items() if image not in several}
    without = sorted(set(names) - own)
    if without:
        others = set().union(*(found for found in several.values() if without[0] in found))
        shown = " and ".join(repr(name) for name in sorted(others - {without[0]})[:3])
        raise SynthgenError(
            f"All images of class {without[0]!r} are images of {shown} too, so nothing tells them "
            "apart.\nMend the labels, or remove what is there twice."
        )


def _require_every_class(
    images: LabelledImages,
    positions: Mapping[str, Sequence[int]],
    official: Sequence[str | None],
) -> None:
    """Only official splits can still lack a class here; the cut ones got one image each."""
    for part, found in positions.items():
        present = set(images.labels[torch.tensor(found, dtype=torch.int64)].tolist())
        for label, name in enumerate(images.classes):
            if label not in present:
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
        which = "image occurs" if several == 1 else "images occur"
        notes.append(f"{several:,} {which} under more than one class; look at the labels.")
    return notes


def _chain_notes(near: NearDuplicates, kept: NearDuplicates) -> list[str]:
    if kept is near:
        return []
    return [
        f"{near.count:,} images are nearly like others, one leading to the next through so many "
        f"that they can't be divided; the {kept.count:,} that stand out as copies of one picture "
        "stay together, and the rest is divided freely."
    ]


def _drop_notes(split: Sequence[str | None]) -> list[str]:
    """Without names of files, which can hold a patient's: notes go into published reports."""
    dropped = sum(part is None for part in split)
    if not dropped:
        return []
    return [
        f"{dropped:,} images were dropped from training (or holdout) because the same "
        "image (nearly, or its group) is in the official test or holdout set."
    ]
