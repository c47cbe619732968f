"""Exact nearest neighbours by products of blocks: memory is bounded, blocks leave no trace."""

from __future__ import annotations

import torch
from torch import Tensor

QUERIES, REFERENCES = 256, 32_768  # rows of one product: 32 MiB of distances
SPARE = 4  # found beyond those asked for, since the search itself rounds


def nearest(queries: Tensor, references: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Euclidean distances float64 and positions int64, both ``(N, count)``, nearest first.

    float32 ``(N, D)`` and ``(M, D)``, ``M >= count``. Candidates are found in float32, their
    distances computed again one by one in float64.
    """
    wanted = min(count + SPARE, len(references))
    norms = references.square().sum(1)
    distances = torch.empty(len(queries), count, dtype=torch.float64)
    positions = torch.empty(len(queries), count, dtype=torch.int64)
    for start in range(0, len(queries), QUERIES):
        part = queries[start : start + QUERIES]
        found = _candidates(part, references, norms, wanted)
        exact, order = exact_distances(part, references[found]).sort(dim=1, stable=True)
        distances[start : start + QUERIES] = exact[:, :count]
        positions[start : start + QUERIES] = found.gather(1, order)[:, :count]
    return distances, positions


def nearest_others(
    members: Tensor, references: Tensor, count: int, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """As :func:`nearest` for the rows ``members`` (int64 positions) of ``references`` themselves,
    each without itself, and without its group (int64 ``(M,)``) while ``count`` others are left."""
    if groups is not None:
        return _of_other_groups(members, references, count, groups)
    distances, positions = nearest(references[members], references, count + 1)
    own = positions == members[:, None]
    own[:, -1] |= ~own.any(dim=1)  # among many copies it may not have found itself
    kept = ~own
    return distances[kept].view(-1, count), positions[kept].view(-1, count)


def _of_other_groups(
    members: Tensor, references: Tensor, count: int, groups: Tensor
) -> tuple[Tensor, Tensor]:
    largest = int(torch.bincount(groups.unique(return_inverse=True)[1]).max())
    deep = min(count + largest, len(references))
    distances, positions = nearest(references[members], references, deep)
    own = positions == members[:, None]
    kin = (groups[positions] == groups[members, None]) & ~own
    # Stable: others first and nearest first, then kin for want of others, itself last.
    order = (kin.long() + 2 * own.long()).argsort(dim=1, stable=True)[:, :count]
    order = order.sort(dim=1).values  # by distance again
    return distances.gather(1, order), positions.gather(1, order)


def exact_distances(queries: Tensor, found: Tensor) -> Tensor:
    """float32 ``(N, D)`` and ``(N, K, D)`` -> float64 ``(N, K)``."""
    return (queries[:, None, :].double() - found.double()).square().sum(dim=2).sqrt()


def _candidates(queries: Tensor, references: Tensor, norms: Tensor, count: int) -> Tensor:
    """Positions ``(N, count)`` in ascending order, whose squared distances are the smallest but for
    a rounding error."""
    best, found = torch.empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.int64)
    for start in range(0, len(references), REFERENCES):
        block = slice(start, start + REFERENCES)
        partial = torch.addmm(norms[block][None], queries, references[block].T, alpha=-2)
        values, columns = partial.topk(min(count, partial.shape[1]), dim=1, largest=False)
        best, found = torch.cat([best, values], 1), torch.cat([found, columns + start], 1)
        if best.shape[1] > count:
            best, columns = best.topk(count, dim=1, largest=False)
            found = found.gather(1, columns)
    return found.sort(dim=1).values
