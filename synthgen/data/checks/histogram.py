"""How often each level occurs in the images of a set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

BINS = 64
CHUNK = 2**22  # pixels at a time
SAMPLED = 2**22  # real levels among which different ones are counted


@dataclass(frozen=True)
class Histogram:
    """Levels as they are stored.

    Attributes:
        low: the lowest level; ``high`` the highest.
        counts: pixels in each of at most 64 equal steps from ``low`` to ``high``.
        distinct: different levels (of real ones, among the first four million).
        lowest: share of pixels that have the lowest level; ``highest`` likewise.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    distinct: int
    lowest: float
    highest: float

    @classmethod
    def of(cls, images: Tensor) -> Histogram:
        """Of ``(N, C, H, W)`` images of any type, at least one."""
        values = images.numpy().reshape(-1)
        low, high = values.min().item(), values.max().item()
        real = values.dtype.kind == "f"
        levels = BINS if real else int(high - low) + 1
        found = np.zeros(levels, dtype=np.int64)
        ends = np.zeros(2, dtype=np.int64)
        for first in range(0, len(values), CHUNK):
            part = values[first : first + CHUNK]
            ends += (part == low).sum(), (part == high).sum()
            if real:
                found += np.histogram(part, bins=BINS, range=(low, high))[0]
            else:
                found += np.bincount(part.astype(np.int64) - int(low), minlength=levels)
        distinct = len(np.unique(values[:SAMPLED])) if real else int((found > 0).sum())
        steps = min(BINS, levels)
        edges = np.arange(steps) * levels // steps
        counts = np.add.reduceat(found, edges)
        shares = ends / len(values)
        return cls(low, high, tuple(counts.tolist()), distinct, *shares.tolist())
