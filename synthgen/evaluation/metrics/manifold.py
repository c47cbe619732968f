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

from synthgen.evaluation.metrics.arrays import as_pair
from synthgen.evaluation.metrics.intervals import Estimate, t_interval, wilson

PRECISION_NEIGHBOURS = 3
DENSITY_NEIGHBOURS = 5
CHUNK = 256  # rows of the distance matrix held at a time: 20 MB per 10,000 columns
SURFACE = 1e-9  # relative rounding of float64 squared distances: a point on the surface counts


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
    real, fake = as_pair(real, fake, at_least=k + 1)
    return float(membership(*centred(real, fake), k, k).fake_inside.double().mean())


def recall(*, real: Any, fake: Any, k: int = PRECISION_NEIGHBOURS) -> float:
    """Share of real images inside the ball of any synthetic image; 1 is best."""
    return precision(real=fake, fake=real, k=k)


def density(*, real: Any, fake: Any, k: int = DENSITY_NEIGHBOURS) -> float:
    """Mean number of real balls around a synthetic image, divided by k. About 1 for two draws of
    one distribution; above 1 when the synthetic images crowd the densest places."""
    real, fake = as_pair(real, fake, at_least=k + 1)
    return float(membership(*centred(real, fake), k, k).density.mean())


def coverage(*, real: Any, fake: Any, k: int = DENSITY_NEIGHBOURS) -> float:
    """Share of real images whose ball holds a synthetic image; two draws of equal size from one
    distribution reach about 1 - 2⁻ᵏ (0.97 for k = 5)."""
    real, fake = as_pair(real, fake, at_least=k + 1)
    return float(membership(*centred(real, fake), k, k).covered.double().mean())


def manifold_estimates(
    *,
    real: Any,
    fake: Any,
    k_precision: int = PRECISION_NEIGHBOURS,
    k_density: int = DENSITY_NEIGHBOURS,
) -> dict[str, Estimate]:
    """precision, recall, density and coverage from one pass over the distances.

    Shares have Wilson intervals and density a t-interval over the synthetic images. They treat the
    balls as fixed, so they say a little too little.
    """
    at_least = max(k_precision, k_density) + 1
    real, fake = centred(*as_pair(real, fake, at_least=at_least))
    found = membership(real, fake, k_precision, k_density)
    mean, variance = float(found.density.mean()), float(found.density.var())
    crowding = t_interval(mean, [(variance / len(fake), len(fake) - 1)])
    return {
        "precision": wilson(int(found.fake_inside.sum()), len(fake)),
        "recall": wilson(int(found.real_inside.sum()), len(real)),
        "density": crowding.within(0.0),
        "coverage": wilson(int(found.covered.sum()), len(real)),
    }


def membership(real: Tensor, fake: Tensor, k_precision: int, k_density: int) -> Membership:
    """Compare every pair once, in chunks of synthetic images."""
    real_balls = balls(real, k_precision, k_density)
    fake_balls = balls(fake, k_precision, k_density)
    real_inside = torch.zeros(len(real), dtype=torch.bool)
    covered = torch.zeros(len(real), dtype=torch.bool)
    fake_inside, crowding = [], []
    for chunk, radius in zip(fake.split(CHUNK), fake_balls.precision.split(CHUNK), strict=True):
        squared = squared_distances(chunk, real)
        fake_inside.append((squared <= real_balls.precision).any(1))
        real_inside |= (squared <= radius[:, None]).any(0)
        in_ball = squared <= real_balls.density
        crowding.append(in_ball.sum(1).double() / k_density)
        covered |= in_ball.any(0)
    return Membership(torch.cat(fake_inside), real_inside, torch.cat(crowding), covered)


def balls(features: Tensor, k_precision: int, k_density: int) -> Balls:
    """Radii to the k-th nearest other image of the same set. float64 ``(N, D)``, N > k."""
    deepest = max(k_precision, k_density) + 1  # the nearest is the image itself
    nearest = torch.cat(
        [
            squared_distances(chunk, features).topk(deepest, dim=1, largest=False).values
            for chunk in features.split(CHUNK)
        ]
    )
    # An entry is off by at most the rounding of the largest terms that were subtracted.
    slack = SURFACE * (nearest + 4e-6 * features.square().sum(1, keepdim=True))
    nearest = nearest.sort(dim=1).values + slack
    return Balls(nearest[:, k_precision], nearest[:, k_density])


def squared_distances(rows: Tensor, columns: Tensor) -> Tensor:
    """|x - y|² for all pairs through one matrix product: fast, and exact to about 1e-15 of |x|² +
    |y|², which is why the features are centred first and held in float64."""
    norms = rows.square().sum(1)[:, None] + columns.square().sum(1)
    return torch.addmm(norms, rows, columns.T, alpha=-2).clamp_(min=0)


def centred(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets shifted by the real mean, which changes no distance."""
    centre = real.mean(0)
    return real - centre, fake - centre
