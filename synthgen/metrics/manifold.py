"""Precision, recall, density and coverage, and how far they scatter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthgen.metrics.arrays import check_pair
from synthgen.metrics.base import Comparison, Metric
from synthgen.neighbors import CHUNK, SURFACE, Block, Points
from synthgen.seeds import Stream
from synthgen.stats import Estimate, t_interval, wilson

# How far precision, recall, density and coverage scatter: balls among random halves of both sets.
#
# Every ball depends on several images, and every image is asked about balls of both sets, so the
# images asked are not independent of each other. Two disjoint halves are: the difference of a value
# between them holds the scatter of the images asked, of the balls' centres and of their radii. A
# bootstrap would not do, because repeated images shrink the balls to nothing.

HALVINGS = 20
LISTED = 40  # neighbours kept of each image: nearly always five of them lie in its own half
SPARSE = (
    0.1  # share of a block's pairs that may be in any ball, below which only these are looked at
)
FEW = 8  # times k images, below which halves of a set have balls of k / 2
PRECISION_NEIGHBOURS = 3
DENSITY_NEIGHBOURS = 5


@dataclass(frozen=True)
class Halved:
    """What :class:`Membership` says of whole sets, of each
    half of both by itself; S halvings."""

    real_half: Tensor  # bool (S, n_real): which half an image is in
    fake_half: Tensor  # bool (S, n_fake)
    fake_inside: Tensor  # bool (S, n_fake)
    real_inside: Tensor  # bool (S, n_real)
    density: Tensor  # float64 (S, n_fake)
    covered: Tensor  # bool (S, n_real)


@dataclass(frozen=True)
class Scatter:
    """``variance`` of a mean over whole sets, and its mean over halves of them, ``at_half``, which
    differs where the value depends on the numbers of images."""

    variance: float
    at_half: float

    def share(self, value: float, count: int, least: int) -> Estimate:
        """Interval of a share of ``count`` images: Wilson's for as many independent ones as would
        scatter like this, never more than ``count``; ``least`` where nothing scattered."""
        single = self.at_half * (1 - self.at_half)
        if single <= 0 or self.variance == 0:
            return wilson(value * least, least, degrees=HALVINGS)
        alike = min(single / self.variance, count)
        return wilson(value * alike, alike, degrees=HALVINGS)

    def mean(self, value: float) -> Estimate:
        return t_interval(value, [(self.variance, HALVINGS)])


def scatter_of(values: Tensor, half: Tensor, among: Tensor | None = None) -> Scatter:
    """Of the mean of ``values`` ``(S, N)`` over the images that ``among`` ``(N,)`` names (all).

    Var(whole) = E (A - B)² / 4 for the means A and B of the two halves, if the variance falls like
    1/n; halvings that leave a half none of these images tell nothing.
    """
    if among is not None:
        values, half = values[:, among], half[:, among]
    sizes = half.sum(1), (~half).sum(1)
    told = (sizes[0] > 0) & (sizes[1] > 0)
    values = values.double()
    one = (values * half).sum(1)[told] / sizes[0][told]
    other = (values * ~half).sum(1)[told] / sizes[1][told]
    if not len(one):
        return Scatter(0.0, float(values.mean()))
    return Scatter(float((one - other).square().mean()) / 4, float((one + other).mean()) / 2)


def halved(real: Points, fake: Points, k_precision: int, k_density: int) -> Halved:
    """Compare every pair of images that are in the same half, 20 times halved anew.

    float32 distances decide: a pair that they get wrong changes no scatter that could be seen.
    """
    random = torch.Generator().manual_seed(Stream.HALVES)
    real_half, fake_half = halves(len(real), random), halves(len(fake), random)
    if min(len(real), len(fake)) < FEW * k_density:
        k_precision, k_density = (k_precision + 1) // 2, (k_density + 1) // 2
    precise, dense = own_radii(real, real_half, (k_precision, k_density))
    (recalled,) = own_radii(fake, fake_half, (k_precision,))
    found = Halved(
        real_half,
        fake_half,
        torch.zeros(fake_half.shape, dtype=torch.bool),
        torch.zeros(real_half.shape, dtype=torch.bool),
        torch.zeros(fake_half.shape, dtype=torch.float64),
        torch.zeros(real_half.shape, dtype=torch.bool),
    )
    widest = torch.maximum(precise, dense).amax(0), recalled.amax(0)
    for start in range(0, len(fake), CHUNK):
        block = Block(fake, start, real)
        near = block.approximate <= torch.maximum(widest[0], widest[1][block.chunk, None])
        radii = precise, dense, recalled[:, block.chunk]
        if near.sum() < SPARSE * near.numel():
            _look_at_pairs(block, near, radii, found)
        else:
            _look_at_all(block, radii, found)
    found.density.div_(k_density)
    return found


Radii = tuple[Tensor, Tensor, Tensor]  # precision, density (S, n_real); recall (S, rows)


def _look_at_pairs(block: Block, near: Tensor, radii: Radii, found: Halved) -> None:
    """The pairs of a block that are near enough for any ball, all halvings at once."""
    row, column = near.nonzero(as_tuple=True)
    distance = block.approximate[row, column]
    same = found.fake_half[:, block.chunk][:, row] == found.real_half[:, column]
    precise, dense = (same & (distance <= radius[:, column]) for radius in radii[:2])
    recalled = same & (distance <= radii[2][:, row])
    found.fake_inside[:, block.chunk] = counted(precise, row, len(near)) > 0
    found.density[:, block.chunk] = counted(dense, row, len(near)).double()
    found.covered.logical_or_(counted(dense, column, near.shape[1]) > 0)
    found.real_inside.logical_or_(counted(recalled, column, near.shape[1]) > 0)


def _look_at_all(block: Block, radii: Radii, found: Halved) -> None:
    for split, (real_half, fake_half) in enumerate(
        zip(found.real_half, found.fake_half[:, block.chunk], strict=True)
    ):
        precise, dense, recalled = (radius[split] for radius in radii)
        for side in (False, True):
            rows = (fake_half == side).nonzero().flatten()
            columns = (real_half == side).nonzero().flatten()
            distance = block.approximate[rows[:, None], columns]
            at = rows + block.chunk.start
            in_ball = distance <= dense[columns]
            found.fake_inside[split, at] = (distance <= precise[columns]).any(1)
            found.density[split, at] = in_ball.sum(1).double()
            found.covered[split, columns] |= in_ball.any(0)
            found.real_inside[split, columns] |= (distance <= recalled[rows, None]).any(0)


def counted(inside: Tensor, place: Tensor, size: int) -> Tensor:
    """bool ``(S, P)``, places of the pairs ``(P,)`` -> how many are True at each, ``(S, size)``."""
    totals = torch.zeros(inside.shape[0], size)
    return totals.index_add_(1, place, inside.float())


def halves(count: int, random: torch.Generator) -> Tensor:
    """bool ``(S, count)``; half of each row (±½) is True."""
    order = torch.rand(HALVINGS, count, generator=random).argsort(dim=1)
    return torch.zeros(HALVINGS, count, dtype=torch.bool).scatter_(1, order[:, : count // 2], True)


def own_radii(points: Points, half: Tensor, neighbours: tuple[int, ...]) -> list[Tensor]:
    """For each number of neighbours k, float32 ``(S, N)``: squared distance to the k-th nearest
    image of the own half, or to the farthest listed one if fewer of it are listed."""
    found = [torch.empty(half.shape) for _ in neighbours]
    depth = min(LISTED + 1, len(points))
    for start in range(0, len(points), CHUNK):
        block = Block(points, start, points)
        own = torch.arange(block.chunk.start, block.chunk.stop)
        block.approximate[torch.arange(len(own)), own] = -torch.inf  # first, whatever the rounding
        nearest = block.approximate.topk(depth, dim=1, largest=False)
        values, listed = nearest.values[:, 1:], nearest.indices[:, 1:]
        rank = (half[:, listed] == half[:, own, None]).cumsum(2, dtype=torch.int16)
        for radii, k in zip(found, neighbours, strict=True):
            position = (rank < k).sum(2).clamp_max(depth - 2)
            radii[:, own] = values.expand(len(half), -1, -1).gather(2, position[:, :, None])[..., 0]
    return found


# Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).
#
# All four ask whether images lie inside balls around images of the other set; a ball reaches to the
# k-th nearest neighbour within its own set (the image itself not counted) and its surface belongs
# to it (``<=``).


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
    """Share of synthetic images inside the ball of any real image (Kynkäänniemi et al.
    2019); 1 is best.

    Args:
        k: a ball reaches as far as the k-th nearest other image of its own set.

    Raises:
        ValueError: a set has fewer than k + 1 images, or features that aren't finite ``(N, D)``.
    """
    return float(membership(*points(real, fake, k), k, k).fake_inside.double().mean())


def recall(*, real: Any, fake: Any, k: int = PRECISION_NEIGHBOURS) -> float:
    """Share of real images inside the ball of any synthetic image, 1 is best; the rest as for
    :func:`precision`."""
    return precision(real=fake, fake=real, k=k)


def density(*, real: Any, fake: Any, k: int = DENSITY_NEIGHBOURS) -> float:
    """Mean number of real balls around a synthetic image, divided by k (Naeem et al. 2020); the
    rest as for :func:`precision`. About 1 for two draws of one distribution; above 1 when the
    synthetic images crowd the densest places."""
    return float(membership(*points(real, fake, k), k, k).density.mean())


def coverage(*, real: Any, fake: Any, k: int = DENSITY_NEIGHBOURS) -> float:
    """Share of real images whose ball holds a synthetic image (Naeem et al. 2020); the rest as
    for :func:`precision`. Two draws of equal size from one distribution reach about 1 - 2⁻ᵏ (0.97
    for k = 5)."""
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
    :mod:`synthgen.metrics.manifold`). Shares have Wilson's interval at the number of
    independent images that would scatter as much, density a t-interval.

    Args:
        k_precision: k of precision and recall.
        k_density: k of density and coverage.
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


# As metrics of a report: four from one pass over the distances.

HALVES = "scatter between random halves of both sets, 20 times halved; "


def four(sets: Comparison) -> dict[str, Estimate]:
    return manifold_estimates(real=sets.real, fake=sets.fake)


class OfBalls(Metric):
    """What the four share."""

    higher_is_better = True
    interval = HALVES + "Wilson's interval"

    def estimate(self, sets: Comparison) -> Estimate:
        return sets.once(four)[self.name]


class Precision(OfBalls):
    """:func:`precision` (Kynkäänniemi et al. 2019)."""

    name = "precision"
    label = "Precision"
    definition = "k = 3; a ball's surface belongs to it"

    def value(self, sets: Comparison) -> float:
        return precision(real=sets.real, fake=sets.fake)


class Recall(OfBalls):
    """:func:`recall` (Kynkäänniemi et al. 2019)."""

    name = "recall"
    label = "Recall"
    definition = Precision.definition

    def value(self, sets: Comparison) -> float:
        return recall(real=sets.real, fake=sets.fake)


class Density(OfBalls):
    """:func:`density` (Naeem et al. 2020)."""

    name = "density"
    label = "Density"
    definition = "k = 5; a ball's surface belongs to it"
    interval = HALVES + "t quantile"

    def value(self, sets: Comparison) -> float:
        return density(real=sets.real, fake=sets.fake)


class Coverage(OfBalls):
    """:func:`coverage` (Naeem et al. 2020)."""

    name = "coverage"
    label = "Coverage"
    definition = Density.definition

    def value(self, sets: Comparison) -> float:
        return coverage(real=sets.real, fake=sets.fake)
