"""Splits to choose with: the holdout in the place of the test split, which stays out of sight."""

from __future__ import annotations

import dataclasses

from synthgen.data.assign import assign
from synthgen.data.hashing import image_hashes
from synthgen.data.splits import Splits


def for_choosing(splits: Splits) -> Splits:
    """The same data without its test split.

    ``test`` is the holdout, ``holdout`` a part of the training images that is cut off as large a
    share of each class as the holdout was, and ``train`` the rest. The cut depends on the images
    and the split's seed alone, and copies of an image stay together; groups and attributes are
    not known any more.
    ``digest`` and ``recipe`` stay those of the split that a generator was trained on; test images
    leave ``assignment``. Raises SynthgenError for a class with a single image to divide.
    """
    known, reference = splits.train, splits.holdout
    share = len(reference) / (len(known) + len(reference))
    parts = assign(
        image_hashes(known.images) + image_hashes(reference.images),
        [images.classes[i] for images in (known, reference) for i in images.labels.tolist()],
        ["train"] * len(known) + ["test"] * len(reference),
        [None] * (len(known) + len(reference)),
        holdout=share,
        test=0.0,  # there is one already
        seed=splits.recipe["split_seed"],
    )[: len(known)]
    train, cut = (
        known.subset([i for i, part in enumerate(parts) if part == wanted])
        for wanted in ("train", "holdout")
    )
    note = (
        f"{len(cut):,} training images were held back to take the holdout's place: the generator "
        "may have learned from them, but no classifier here does, and neighbours are not sought "
        "among them."
    )
    return dataclasses.replace(
        splits,
        train=train,
        holdout=cut,
        test=reference,
        assignment={image: part for image, part in splits.assignment.items() if part != "test"},
        notes=(*splits.notes, note),
        reference="holdout",
        test_groups=None,
        test_attributes=None,
    )
