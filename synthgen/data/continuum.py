"""Near duplicates in a set whose images lead to each other by small steps: which of them are copies
of one picture, and which are only neighbours in a continuum.

A cluster of single linkage counts as copies if its longest step is at most 0.3 of the step to the
nearest image outside, and no two in it are farther apart than two copies of one picture can be. Of
copies that differ from their picture as much as its neighbours do, nothing can tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

MOST_COPIES = 64  # of one picture, all of whose distances are measured
Neighbours = tuple[np.ndarray, np.ndarray]  # rows int64 and distances float64 (K,), nearest first
Spread = Callable[[Sequence[int]], float]
"""Rows -> the largest distance between two of them."""


@dataclass(eq=False)
class _Cluster:
    """A cluster of single linkage while it grows: its longest step, and the clusters in it that
    stand out."""

    rows: list[int]
    step: float = 0.0
    kept: list[list[int]] = field(default_factory=list)

    def standing(self, around: Mapping[int, Neighbours], ratio: float) -> list[list[int]]:
        """The whole cluster if it stands out, else what does in it."""
        if 1 < len(self.rows) <= MOST_COPIES:
            mine = set(self.rows)
            outside = min(_first_outside(*around[row], mine) for row in self.rows)
            if self.step <= ratio * outside:
                return [self.rows]
        return self.kept


def _first_outside(rows: np.ndarray, lengths: np.ndarray, mine: set[int]) -> float:
    """How far the nearest is that isn't ``mine``; at least as far as the last that is known."""
    found = (float(x) for row, x in zip(rows.tolist(), lengths, strict=True) if row not in mine)
    return next(found, float(lengths[-1]) if len(lengths) else math.inf)


def clusters_that_stand_out(
    links: np.ndarray,
    lengths: np.ndarray,
    around: Mapping[int, Neighbours],
    ratio: float,
) -> list[list[int]]:
    """Rows of the largest clusters that stand out, in no order.

    Args:
        links: int64 ``(P, 2)``, rows that are near duplicates; ``lengths`` are their distances.
        around: the nearest rows of each row that has a link.
        ratio: of the longest step in a cluster to the step out of it.
    """
    cluster_of = {row: _Cluster([row]) for row in np.unique(links).tolist()}
    for place in np.argsort(lengths, kind="stable").tolist():
        one, other = (cluster_of[row] for row in links[place].tolist())
        if one is other:
            continue
        kept = [*one.standing(around, ratio), *other.standing(around, ratio)]
        merged = _Cluster([*one.rows, *other.rows], float(lengths[place]), kept)
        cluster_of.update(dict.fromkeys(merged.rows, merged))
    return [rows for one in set(cluster_of.values()) for rows in one.standing(around, ratio)]


def links_within(clusters: Sequence[Sequence[int]], spread: Spread, most: float) -> np.ndarray:
    """int64 ``(P, 2)``: links that hold each cluster together, less those wider than ``most``."""
    close = [rows for rows in clusters if spread(rows) <= most]
    found = [(rows[0], row) for rows in close for row in rows[1:]]
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


def pairs_among(places: Sequence[int]) -> np.ndarray:
    """int64 ``(P, 2)``: each two of them."""
    return np.array(list(combinations(places, 2)), dtype=np.int64).reshape(-1, 2)
