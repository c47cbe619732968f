"""Splits to choose with: the holdout in the place of the test split, which stays out of sight."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from synthgen.data.assign import assign
from synthgen.data.hashing import image_hashes
from synthgen.data.splits import Splits


def for_choosing(splits: Splits) -> Splits:
    """The same data without its test split.

    ``test`` is the holdout, ``holdout`` a part of the training images that is cut off as large a
    share of each class as the holdout was, and ``train`` the rest. The cut depends on the images,
    their groups and the split's seed alone; copies of an image and images of one group stay
    together.
    ``digest`` and ``recipe`` stay those of the split that a generator was trained on; test images
    leave ``assignment``. Raises SynthgenError for a class with a single image or group to divide.
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
