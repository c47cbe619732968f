"""Fewer training images than there are: to see what little or unbalanced data would do."""

from __future__ import annotations

import math

from synthgen.errors import SynthgenError
from synthgen.types import LabelledImages


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
