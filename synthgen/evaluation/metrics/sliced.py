"""Sliced Wasserstein distance, and MIND (Berthet et al. 2026), its form for sets of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from synthgen.evaluation.metrics.arrays import as_pair
from synthgen.evaluation.metrics.intervals import Estimate, jackknife_variance, t_interval
from synthgen.evaluation.metrics.strata import StrataOfBoth, dealt_out

DIRECTIONS = 1000
DIRECTIONS_FOR_INTERVAL = 200
GROUPS = 10
CHUNK = 100  # directions held at a time
SCALE = 3.0


def mind(*, real: Any, fake: Any, directions: int = DIRECTIONS) -> float:
    """3·D times :func:`sliced_wasserstein`: of the order of the Fréchet distance, but sensitive to
    any difference between the distributions, not only to their first two moments."""
    real, fake = as_pair(real, fake)
    return SCALE * real.shape[1] * mean_distance(real, fake, [], directions)[0]


def sliced_wasserstein(*, real: Any, fake: Any, directions: int = DIRECTIONS) -> float:
    """Squared 2-Wasserstein distance along a fixed set of random unit vectors, averaged; 0 is best.

    In one dimension it is the mean squared difference of the sorted values; for unequal numbers of
    images the exact transport between the two step functions, not a random subset. Biased upwards
    by about 1/n.
    """
    real, fake = as_pair(real, fake)
    return mean_distance(real, fake, [], directions)[0]


def mind_estimate(
    *,
    real: Any,
    fake: Any,
    strata: StrataOfBoth | None = None,
    directions: int = DIRECTIONS,
) -> Estimate:
    """MIND with a 95 % interval from a jackknife that leaves out a group of both sets at a time;
    its scatter comes from the first 200 directions. ``strata`` as in :func:`frechet_estimate`."""
    real, fake = as_pair(real, fake)
    scale = SCALE * real.shape[1]
    groups = min(GROUPS, len(real) // 2, len(fake) // 2)
    value = scale * mean_distance(real, fake, [], directions)[0]
    if groups < 2:
        return Estimate(value, None, None)
    sides = strata or (None, None)
    member = [dealt_out(x, side, groups) for x, side in zip((real, fake), sides, strict=True)]
    few = min(directions, DIRECTIONS_FOR_INTERVAL)
    without = [scale * found for found in mean_distance(real, fake, member, few)]
    return t_interval(value, [jackknife_variance(without)]).within(0.0)


def mean_distance(real: Tensor, fake: Tensor, member: list[Tensor], directions: int) -> list[float]:
    """The whole sets' distance; with ``member`` (the group of each real and of each synthetic
    image) instead one distance for each group, without it. Sorted once whatever is left out."""
    vectors = unit_vectors(directions, real.shape[1])
    groups = int(member[0].max()) + 1 if member else 1
    totals = [0.0] * groups
    for chunk in vectors.split(CHUNK):
        sides = [torch.sort(chunk @ features.T, dim=1) for features in (real, fake)]
        for group in range(groups):
            kept = [side.values for side in sides]
            if member:
                kept = [
                    side.values[of[side.indices] != group].view(len(chunk), -1)
                    for side, of in zip(sides, member, strict=True)
                ]
            totals[group] += float(transport(*kept).sum())
    return [total / directions for total in totals]


def transport(first: Tensor, second: Tensor) -> Tensor:
    """Squared 2-Wasserstein distance of each row of sorted values ``(K, N)`` and ``(K, M)``."""
    n, m = first.shape[1], second.shape[1]
    if n == m:
        return (first - second).square().mean(1)
    # Both quantile functions are constant between neighbouring multiples of 1/n and 1/m; counted in
    # units of 1/(n·m) the edges are whole numbers.
    edges = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m) * n]).unique()
    widths = torch.diff(edges, prepend=edges.new_zeros(1)).double() / (n * m)
    difference = first[:, (edges - 1) // m] - second[:, (edges - 1) // n]
    return difference.square_() @ widths


def unit_vectors(count: int, size: int) -> Tensor:
    """float64 ``(count, size)``, the same every time; the first of them do not depend on count."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(count, size, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=1)
