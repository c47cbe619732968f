"""Deterministic subsets that keep the proportions of the classes."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.types import LabelledImages


def spread_by_class(images: LabelledImages, at_most: int) -> LabelledImages:
    """All images, or ``at_most`` of them: every n-th after sorting by class, in their own order."""
    return images.subset(positions_by_class(images.labels, at_most))


def positions_by_class(labels: Tensor, at_most: int) -> Tensor:
    """Ascending int64 positions of :func:`spread_by_class`."""
    count = len(labels)
    if count <= at_most:
        return torch.arange(count)
    every = torch.arange(at_most) * count // at_most
    return labels.argsort(stable=True)[every].sort().values
