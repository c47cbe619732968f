"""Exact nearest neighbours and radii among many points, by products of blocks: memory is
bounded, blocks leave no trace, and most pairs are settled in float32."""

from __future__ import annotations

import torch
from torch import Tensor

QUERIES, REFERENCES = 256, 32_768  # rows of one product: 32 MiB of distances
SPARE_CANDIDATES = 4  # found beyond those asked for, since the search itself rounds


def nearest(queries: Tensor, references: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Euclidean distances float64 and positions int64, both ``(N, count)``, nearest first.

    float32 ``(N, D)`` and ``(M, D)``, ``M >= count``. Candidates are found in float32, their
    distances computed again one by one in float64.
    """
    wanted = min(count + SPARE_CANDIDATES, len(references))
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


# Which of all pairs of images are nearer than a radius? Most pairs are settled in float32.
#
# A float32 product gives every squared distance with a known error bound. Pairs (or nearest
# neighbours) that the bound leaves open are measured again in float64, so the answers are those of
# float64 at a third of the time and half the memory.

CHUNK = 256  # rows of the distance matrix held at a time: 10 MB per 10,000 columns
SPARE_OF_ROUNDING = 8  # neighbours looked at beyond those asked for
MOST_OPEN = 4096  # open pairs of a chunk that are measured one by one; beyond, all are
SURFACE = 1e-9  # relative rounding of float64 squared distances: a point on the surface counts


class Points:
    """Images of one set: float32 or float64 features ``(N, D)`` as they came, and float32 copies
    shifted by ``centre`` (float64 ``(D,)``), which changes no distance but keeps norms small."""

    def __init__(self, features: Tensor, centre: Tensor) -> None:
        self.features, self.centre = features, centre
        shifted = torch.empty(features.shape, dtype=torch.float32)
        norms = torch.empty(len(features), dtype=torch.float64)
        for start in range(0, len(features), CHUNK):
            exact = features[start : start + CHUNK].double() - centre
            shifted[start : start + CHUNK] = exact
            norms[start : start + CHUNK] = exact.square().sum(1)
        self.shifted, self.norms = shifted, norms
        # Rounding of the coordinates and of the sum over D products, with a factor of five to spare
        # over what was ever measured.
        self.error = 1e-6 + 4e-7 * features.shape[1] ** 0.5

    def __len__(self) -> int:
        return len(self.features)


class Block:
    """Squared distances of a run of rows to all columns: float32 ``(R, C)``, each wrong by no more
    than ``bound`` ``(C,)``."""

    def __init__(self, rows: Points, start: int, columns: Points) -> None:
        self.rows, self.columns = rows, columns
        self.chunk = slice(start, min(start + CHUNK, len(rows)))
        norms = rows.norms[self.chunk]
        total = (norms[:, None] + columns.norms).float()
        self.approximate = torch.addmm(total, rows.shifted[self.chunk], columns.shifted.T, alpha=-2)
        self.bound = columns.error * (norms.max() + columns.norms)

    def within(self, radius: Tensor) -> Tensor:
        """bool ``(R, C)``: no farther than the squared radius, float64 ``(C,)`` or ``(R, 1)``."""
        sure = self.approximate <= (radius - self.bound).float()
        possible = self.approximate <= (radius + self.bound).float()
        if possible.sum() == sure.sum():
            return sure
        rows, columns = (possible & ~sure).nonzero(as_tuple=True)
        if len(rows) > MOST_OPEN:
            return self.exact() <= radius
        sure[rows, columns] = (
            self.measure(rows, columns[:, None])[:, 0] <= radius.expand(sure.shape)[rows, columns]
        )
        return sure

    def nearest(self, count: int) -> Tensor:
        """float64 ``(R, count)``: the smallest squared distances in ascending order."""
        candidates = min(count + SPARE_OF_ROUNDING, len(self.columns))
        found = self.approximate.topk(candidates, dim=1, largest=False)
        every = torch.arange(len(self.approximate))
        exact = self.measure(every, found.indices).sort(dim=1).values[:, :count]
        if candidates == len(self.columns):
            return exact
        # Whatever was not looked at lies farther than the last candidate, less the error.
        limit = found.values.max(1).values.double() - self.bound.max()
        unsure = (exact[:, -1] > limit).nonzero().flatten()
        if len(unsure):
            whole = self.exact()[unsure].topk(count, dim=1, largest=False)
            exact[unsure] = whole.values.sort(dim=1).values
        return exact

    def measure(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Exact squared distances of chosen rows ``(P,)`` to chosen columns ``(P, K)`` each."""
        first = self.rows.features[self.chunk][rows].double()
        found = torch.empty(columns.shape, dtype=torch.float64)
        for k in range(columns.shape[1]):
            found[:, k] = (first - self.columns.features[columns[:, k]]).square_().sum(1)
        return found

    def exact(self) -> Tensor:
        """float64 ``(R, C)`` through one product, exact to about 1e-15 of the norms."""
        rows = self.rows.features[self.chunk].double() - self.rows.centre
        columns = self.columns.features.double() - self.columns.centre
        norms = self.rows.norms[self.chunk, None] + self.columns.norms
        return torch.addmm(norms, rows, columns.T, alpha=-2).clamp_(min=0)
