"""Which image goes to which split: by content alone, in units that stay together; and fewer
images than there are."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from synthgen.errors import SynthgenError
from synthgen.types import LabelledImages

SPLITS = ("train", "holdout", "test")


def connected_units(hashes: Sequence[str], *others: Sequence[str | None]) -> list[list[int]]:
    """Positions that must share a split: copies of one image, images that have the same key (a
    group, a near duplicate's) in one of ``others``, and whatever these chain together."""
    if len(set(hashes)) == len(hashes) and not any(any(keys) for keys in others):
        return [[position] for position in range(len(hashes))]
    parent = list(range(len(hashes)))

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for keys in (hashes, *others):
        first: dict[str, int] = {}
        for position, key in enumerate(keys):
            if key is None:
                continue
            earlier = first.setdefault(key, position)
            if earlier != position:
                parent[find(position)] = find(earlier)
    units = defaultdict(list)
    for position in range(len(hashes)):
        units[find(position)].append(position)
    return list(units.values())


def assign(
    hashes: Sequence[str],
    names: Sequence[str],
    official: Sequence[str | None],
    *together: Sequence[str | None],
    holdout: float,
    test: float,
    seed: int,
) -> list[str | None]:
    """The split of every image, or None for one that is dropped.

    Official test and holdout images stay where they are; what shares a unit with them but lies in
    a weaker split (train < holdout < test) is dropped. Splits that the source doesn't have are cut
    from the rest, ``holdout`` and ``test`` being shares of each class there. ``together`` are
    columns of keys (groups): images with equal ones share a split. The result depends on the set
    of (hash, name, official split, keys) and the seed, never on the order.
    """
    split: list[str | None] = [None] * len(hashes)
    free = []
    for unit in connected_units(hashes, *together):
        strongest = max((official[i] or "train" for i in unit), key=SPLITS.index)
        if strongest == "train":
            free.append(unit)
        else:
            for i in unit:
                split[i] = strongest if official[i] == strongest else None
    present = set(official)
    shares = {"holdout": holdout, "test": test}
    shares = {name: share for name, share in shares.items() if name not in present}
    if not shares:
        for i in (i for unit in free for i in unit):
            split[i] = "train"
        return split
    order = sorted(free, key=lambda unit: (-len(unit), _key(hashes, unit, seed)))
    for unit, chosen in zip(order, _deal(order, names, shares), strict=True):
        for i in unit:
            split[i] = chosen
    return split


def _key(hashes: Sequence[str], unit: list[int], seed: int) -> bytes:
    """A unit's place in the shuffled order: a function of its contents and the seed."""
    smallest = hashes[unit[0]] if len(unit) == 1 else min(hashes[i] for i in unit)
    return hashlib.sha256(f"{seed} {smallest}".encode()).digest()


def _deal(units: list[list[int]], names: Sequence[str], shares: dict[str, float]) -> list[str]:
    """Deal units, in order, to the split that lacks most images of their classes.

    Larger units come first, so that smaller ones can even out what they leave. A split that has
    no image of a class yet takes precedence once no more units are left than such splits.
    """
    single = {name: {name: 1} for name in set(names)}  # one for all, since nearly all units are
    contents = [
        single[names[unit[0]]] if len(unit) == 1 else Counter(names[i] for i in unit)
        for unit in units
    ]
    lacking, left = _targets(contents, shares)
    empty = {name: set(lacking) for name in left}
    chosen = []
    for content in contents:
        need = dict.fromkeys(lacking, 0)
        for name, count in content.items():
            urgent = left[name] <= len(empty[name])
            for split, missing in lacking.items():
                need[split] += count * missing[name]
                if urgent and split in empty[name]:
                    need[split] += len(names) ** 2  # outweighs every count
            left[name] -= 1
        split = max(need, key=need.__getitem__)
        for name, count in content.items():
            lacking[split][name] -= count
            empty[name].discard(split)
        chosen.append(split)
    _require_all(empty)
    return chosen


def _targets(
    contents: Sequence[Mapping[str, int]], shares: dict[str, float]
) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Images of each class that each split should get, and units of each class."""
    images: dict[str, int] = defaultdict(int)
    units: dict[str, int] = defaultdict(int)
    for content in contents:
        for name, count in content.items():
            images[name] += count
            units[name] += 1
    lacking = {
        split: {name: round(share * count) for name, count in images.items()}
        for split, share in shares.items()
    }
    rest = {
        name: count - sum(target[name] for target in lacking.values())
        for name, count in images.items()
    }
    for name in sorted(units):
        if units[name] < len(shares) + 1:
            raise SynthgenError(
                f"Class {name!r} has {units[name]} distinct image(s) or groups to divide, but "
                f"needs {len(shares) + 1}: one for each of train, {', '.join(shares)}.\n"
                "Add images of it, make its groups smaller, or leave the class out."
            )
    return {"train": rest, **lacking}, units


def _require_all(empty: dict[str, set[str]]) -> None:
    for name in sorted(empty):
        if empty[name]:
            raise SynthgenError(
                f"The groups can't be divided so that class {name!r} occurs in "
                f"{' and '.join(sorted(empty[name]))}.\n"
                "Make groups smaller, or try another data.split_seed."
            )


# Fewer training images than there are: to see what little or unbalanced data would do.


def limits_of(
    at_most: int | list[int] | dict[str, int], classes: tuple[str, ...]
) -> list[int | None]:
    """Training images to keep of each class, None for all. Raises SynthgenError for a number below
    1, a class that isn't there, and a list of another length."""
    if isinstance(at_most, int):
        limits: list[int | None] = [at_most] * len(classes)
    elif isinstance(at_most, dict):
        unknown = [name for name in at_most if name not in classes]
        if unknown:
            raise SynthgenError(
                f"data.at_most names {unknown[0]!r}, which the data does not have.\n"
                f"Its classes are {', '.join(classes[:20])}."
            )
        limits = [at_most.get(name) for name in classes]
    else:
        limits = list(at_most)
    if len(limits) != len(classes):
        raise SynthgenError(
            f"data.at_most has {len(limits)} numbers, but the data has {len(classes)} classes.\n"
            "Give one number per class in class order, or name the classes."
        )
    if any(limit is not None and limit < 1 for limit in limits):
        raise SynthgenError("data.at_most must leave each class at least 1 training image.")
    return limits


def cut(
    positions: dict[str, list[int]], images: LabelledImages, limits: list[int | None]
) -> dict[str, list[int]]:
    """The first of each class in the order of ``positions``; the holdout loses the same share of
    each class as the training split, but keeps one image."""
    labels = images.labels.tolist()
    kept = {"test": positions["test"], "train": [], "holdout": []}
    for label, limit in enumerate(limits):
        train = [i for i in positions["train"] if labels[i] == label]
        holdout = [i for i in positions["holdout"] if labels[i] == label]
        share = 1.0 if limit is None else min(1.0, limit / max(len(train), 1))
        kept["train"] += train[:limit]
        kept["holdout"] += holdout[: math.ceil(share * len(holdout))]
    order = {part: {i: rank for rank, i in enumerate(found)} for part, found in positions.items()}
    return {part: sorted(kept[part], key=order[part].__getitem__) for part in positions}
