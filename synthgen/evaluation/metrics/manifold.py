"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

All four ask whether images lie inside balls around images of the other set; a ball reaches to the
k-th nearest neighbour within its own set (the image itself not counted) and its surface belongs to
it (``<=``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthgen.evaluation.metrics.arrays import check_pair
from synthgen.evaluation.metrics.distances import CHUNK, SURFACE, Block, Points
from synthgen.evaluation.metrics.halves import halved, scatter_of
from synthgen.evaluation.metrics.intervals import Estimate

PRECISION_NEIGHBOURS = 3
DENSITY_NEIGHBOURS = 5


@dataclass(frozen=True)
class Balls:
    """Squared radii ``(N,)`` of the balls around each image, for both numbers of neighbours."""

    precision: Tensor
    density: Tensor


@dataclass(frozen=True)
class Membership:
    """One entry per image: is it inside a ball of the other set, and how many."""

    fake_inside: Tensor  # bool (n_fake,): inside any ball of a real image
    real_inside: Tensor  # bool (n_real,): inside any ball of a synthetic image
    density: Tensor  # float64 (n_fake,): real balls that it is in, / k
    covered: Tensor  # bool (n_real,): its ball holds a synthetic image


def precision(*, real: Any, fake: Any, k: int = PRECISION_NEIGHBOURS) -> float:
    """Share of synthetic images inside the ball of any real image; 1 is best."""
    return float(membership(*points(real, fake, k), k, k).fake_inside.double().mean())


def recall(*, real: Any, fake: Any, k: int = PRECISION_NEIGHBOURS) -> float:
    """Share of real images inside the ball of any synthetic image; 1 is best."""
    return precision(real=fake, fake=real, k=k)


def density(*, real: Any, fake: Any, k: int = DENSITY_NEIGHBOURS) -> float:
    """Mean number of real balls around a synthetic image, divided by k. About 1 for two draws of
    one distribution; above 1 when the synthetic images crowd the densest places."""
    return float(membership(*points(real, fake, k), k, k).density.mean())


def coverage(*, real: Any, fake: Any, k: int = DENSITY_NEIGHBOURS) -> float:
    """Share of real images whose ball holds a synthetic image; two draws of equal size from one
    distribution reach about 1 - 2⁻ᵏ (0.97 for k = 5)."""
    return float(membership(*points(real, fake, k), k, k).covered.double().mean())


def manifold_estimates(
    *,
    real: Any,
    fake: Any,
    k_precision: int = PRECISION_NEIGHBOURS,
    k_density: int = DENSITY_NEIGHBOURS,
) -> dict[str, Estimate]:
    """precision, recall, density and coverage from one pass over the distances.

    The intervals are for the expectation of each value over draws of both sets at these numbers of
    images: other real images, and so other balls, belong to their scatter as much as other
    synthetic ones. It comes from random halves of both sets (see
    :mod:`synthgen.evaluation.metrics.halves`). Shares have Wilson's interval at the number of
    independent images that would scatter as much, density a t-interval.
    """
    pair = points(real, fake, max(k_precision, k_density))
    whole, parts = membership(*pair, k_precision, k_density), halved(*pair, k_precision, k_density)
    least = min(len(points) for points in pair)

    def share(inside: Tensor, of_halves: Tensor, half: Tensor) -> Estimate:
        scatter = scatter_of(of_halves, half)
        return scatter.share(float(inside.double().mean()), len(inside), least)

    crowding = scatter_of(parts.density, parts.fake_half).mean(float(whole.density.mean()))
    return {
        "precision": share(whole.fake_inside, parts.fake_inside, parts.fake_half),
        "recall": share(whole.real_inside, parts.real_inside, parts.real_half),
        "density": crowding.within(0.0),
        "coverage": share(whole.covered, parts.covered, parts.real_half),
    }


def points(real: Any, fake: Any, k: int) -> tuple[Points, Points]:
    """Both sets shifted by the real mean. Raises ValueError for fewer than k + 1 images."""
    real, fake = check_pair(real, fake, at_least=k + 1)
    centre = real.mean(0).double()  # any point near the middle will do
    return Points(real, centre), Points(fake, centre)


def membership(real: Points, fake: Points, k_precision: int, k_density: int) -> Membership:
    """Compare every pair once, in chunks of synthetic images."""
    real_balls = balls(real, k_precision, k_density)
    fake_balls = balls(fake, k_precision, k_density)
    real_inside = torch.zeros(len(real), dtype=torch.bool)
    covered = torch.zeros(len(real), dtype=torch.bool)
    fake_inside, crowding = [], []
    for start in range(0, len(fake), CHUNK):
        block = Block(fake, start, real)
        fake_inside.append(block.within(real_balls.precision).any(1))
        real_inside |= block.within(fake_balls.precision[block.chunk, None]).any(0)
        in_ball = block.within(real_balls.density)
        crowding.append(in_ball.sum(1).double() / k_density)
        covered |= in_ball.any(0)
    return Membership(torch.cat(fake_inside), real_inside, torch.cat(crowding), covered)


def balls(points: Points, k_precision: int, k_density: int) -> Balls:
    """Radii to the k-th nearest other image of the same set, of more than k."""
    deepest = max(k_precision, k_density) + 1  # the nearest is the image itself
    starts = range(0, len(points), CHUNK)
    nearest = torch.cat([Block(points, start, points).nearest(deepest) for start in starts])
    # An entry is off by at most the rounding of the largest terms that were subtracted.
    nearest += SURFACE * (nearest + 4e-6 * points.norms[:, None])
    return Balls(nearest[:, k_precision], nearest[:, k_density])
