"""Synthetic images that equal a training image pixel for pixel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synthgen.data.hashing import image_hashes
from synthgen.types import LabelledImages

LEVEL = 0.001  # chance below which more twins than real images have are copies


@dataclass(frozen=True)
class Twins:
    """``flagged`` if real images that nobody trained on have no such twins, or far fewer."""

    copies: int  # synthetic images that equal a training image
    sources: int  # training images that they equal, without their own repetitions
    images: int  # synthetic
    held_back: int  # held-back real images that equal a training image
    flagged: bool
    positions: Tensor  # int64 ascending: which synthetic images

    def among(self, rows: Tensor) -> Tensor:
        """bool ``(N,)``: which of the synthetic images at the positions ``rows`` are copies."""
        return torch.isin(rows, self.positions)

    def to_json(self) -> dict[str, int | bool]:
        counts = {"copies": self.copies, "sources": self.sources, "images": self.images}
        return {**counts, "held_back": self.held_back, "flagged": self.flagged}


def find_twins(
    synthetic: LabelledImages,
    trained_on: Sequence[LabelledImages],
    held_back: Sequence[LabelledImages],
) -> Twins:
    """One copy is enough where real images never repeat themselves.

    Where they do (blank images, say), copies of training images that occur once still count at
    once, unless held-back images have twins too; the rest is compared with the share of real images
    that have a twin. Splits keep equal images together, so the training images themselves tell.
    """
    known = Counter(name for images in trained_on for name in image_hashes(images.images))
    names = image_hashes(synthetic.images)
    equal = torch.tensor([name in known for name in names], dtype=torch.bool)
    found = [name for name in names if name in known]
    fresh = [name for images in held_back for name in image_hashes(images.images)]
    twins = sum(name in known for name in fresh)
    repeated = sum(count for count in known.values() if count > 1)
    single = any(known[name] == 1 for name in found)
    flagged = bool(found) and (
        (single and not twins)
        or more_often(len(set(found)), len(synthetic), twins + repeated, len(fresh) + known.total())
    )
    return Twins(
        len(found), len(set(found)), len(synthetic), twins, flagged, equal.nonzero().flatten()
    )


def more_often(copies: int, count: int, usual: int, among: int) -> bool:
    """Are ``copies`` of ``count`` more than chance makes of ``usual`` among ``among``, by Fisher's
    exact test?"""
    from scipy.stats import hypergeom

    return float(hypergeom.sf(copies - 1, count + among, copies + usual, count)) < LEVEL
