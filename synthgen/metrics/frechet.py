"""Fréchet distance between two sets of features, at their size and extrapolated to infinitely
many."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from synthgen.metrics.arrays import (
    StrataOfBoth,
    as_features,
    as_pair,
    check_pair,
    dealt_out,
    stratified_groups,
)
from synthgen.metrics.base import Comparison, Metric
from synthgen.stats import TOO_FEW, Estimate, jackknife_variance, t_interval

if TYPE_CHECKING:
    import torchmetrics

# Gaussians with the one quantity that the Fréchet distance finds hard: how far two overlap.

ROWS = 1024  # of the features that are made float64 at a time
WELL_CONDITIONED = 1e-10  # smallest squared Cholesky pivot against the largest
NEGLIGIBLE = 1e-15  # eigenvalues below this share of the largest are rounding


class Gaussian(ABC):
    """float64 mean ``(D,)`` and a covariance S, never factorised before it is needed."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    @property
    @abstractmethod
    def spread(self) -> Tensor:
        """Tr S."""

    @property
    @abstractmethod
    def exact_root(self) -> Tensor:
        """F ``(R, D)`` with FᵀF = S and R the rank of S, or more."""

    @property
    @abstractmethod
    def eigenvalues(self) -> Tensor:
        """Of S, without those that must be 0; none is negative."""

    def overlap(self, other: Gaussian) -> Tensor:
        """Tr (S₁S₂)^½, the nuclear norm of F₁F₂ᵀ.

        This needs no square root of a matrix that isn't symmetric, is real and finite for singular
        covariances, and loses nothing to squared singular values.
        """
        return torch.linalg.svdvals(self.exact_root @ other.exact_root.T).sum()


class ThinGaussian(Gaussian):
    """Covariance of few images: S = rowsᵀ rows with ``rows`` ``(N, D)``, N ≤ D."""

    def __init__(self, mean: Tensor, rows: Tensor) -> None:
        super().__init__(mean)
        self.rows = rows

    @property
    def spread(self) -> Tensor:
        return self.rows.square().sum()

    @property
    def exact_root(self) -> Tensor:
        return self.rows

    @property
    def eigenvalues(self) -> Tensor:
        return torch.linalg.svdvals(self.rows).square()


class FullGaussian(Gaussian):
    """A covariance ``(D, D)``, which may still be singular."""

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        super().__init__(mean)
        self.covariance = covariance

    @property
    def spread(self) -> Tensor:
        return self.covariance.trace()

    @cached_property
    def cholesky(self) -> Tensor | None:
        """Lower triangle L with LLᵀ = S; None if S is singular or nearly so."""
        lower, failed = torch.linalg.cholesky_ex(self.covariance)
        if failed:
            return None
        pivots = lower.diagonal()
        if (pivots.min() / pivots.max()) ** 2 < WELL_CONDITIONED:
            return None
        return lower

    @cached_property
    def exact_root(self) -> Tensor:
        values, vectors = torch.linalg.eigh(self.covariance)
        kept = values > NEGLIGIBLE * values[-1].clamp_min(0)
        return values[kept].sqrt()[:, None] * vectors[:, kept].T

    @property
    def eigenvalues(self) -> Tensor:
        return torch.linalg.eigvalsh(self.covariance).clamp_min(0)

    def overlap(self, other: Gaussian) -> Tensor:
        """For two regular covariances the eigenvalues of LᵀS₂L, which are those of S₁S₂: symmetric,
        so several times cheaper than singular values."""
        if (
            isinstance(other, FullGaussian)
            and (lower := self.cholesky) is not None
            and other.cholesky is not None
        ):
            squared = torch.from_numpy(congruent_eigenvalues(lower, other.covariance))
            return squared.clamp_min_(0).sqrt_().sum()
        return super().overlap(other)


def congruent_eigenvalues(lower: Tensor, covariance: Tensor) -> np.ndarray:
    """Eigenvalues of LᵀSL, float64 ``(D,)`` ascending. BLAS multiplies by a triangle in half the
    time of a plain product, and torch doesn't offer that."""
    from scipy.linalg import eigvalsh
    from scipy.linalg.blas import dtrmm

    upper = lower.numpy().T  # in BLAS's column order as it is, without a copy
    right = dtrmm(1.0, upper, covariance.numpy().T, side=1, lower=0, trans_a=1)
    whole = dtrmm(1.0, upper, right, side=0, lower=0, overwrite_b=1)
    return eigvalsh(whole, driver="evr", check_finite=False, overwrite_a=True)


def scatter(features: Tensor, centre: Tensor) -> Tensor:
    """float64 ``(D, D)``: Σ (x - c)(x - c)ᵀ over the rows of ``(N, D)`` features, float32 or 64.

    A part of the rows at a time is made float64 and centred, in one buffer: whole copies would cost
    more time than the products, of which BLAS's symmetric one does half.
    """
    from scipy.linalg.blas import dsyrk

    if features.device.type != "cpu":
        centred = features.double() - centre
        return centred.T @ centred
    size = features.shape[1]
    found = np.zeros((size, size), order="F")
    buffer, offset = np.empty((min(ROWS, len(features)), size)), centre.numpy()
    for rows in features.split(ROWS):
        # NumPy, because torch's threads and BLAS's would wait for each other at every turn.
        part = np.subtract(rows.numpy(), offset, out=buffer[: len(rows)])
        found = dsyrk(1.0, part.T, beta=1.0, c=found, overwrite_c=1)
    upper = torch.from_numpy(found)
    return upper.triu() + upper.triu(1).T


def products(rows: Tensor) -> Tensor:
    """XᵀX of ``(N, D)``, float64."""
    return scatter(rows, torch.zeros(rows.shape[1], dtype=torch.float64, device=rows.device))


# Fréchet distance between two sets of features (Heusel et al. 2017, eq. 6).

GROUPS = 10


def frechet_distance(*, real: Any, fake: Any) -> float:
    """|μ₁ - μ₂|² + Tr(S₁ + S₂ - 2 (S₁S₂)^½) of ``(N, D)`` features (Heusel et al. 2017, eq. 6), at
    least 0, which is best.

    All arithmetic is float64; covariances have the divisor n - 1. The value is biased upwards by
    about 1/n (and by D), so compare values of equal n only.

    Raises:
        ValueError: a set has fewer than two images, or features that aren't finite ``(N, D)``.
    """
    real, fake = check_pair(real, fake)
    return distance(fit(real), fit(fake))


def frechet_from_moments(
    *, real_mean: Any, real_covariance: Any, fake_mean: Any, fake_covariance: Any
) -> float:
    """:func:`frechet_distance` from means ``(D,)`` and covariances ``(D, D)``, as published ones.

    Raises:
        ValueError: a mean and its covariance have different lengths.
    """
    gaussians = []
    for name, mean, covariance in (
        ("real", real_mean, real_covariance),
        ("fake", fake_mean, fake_covariance),
    ):
        covariance = as_features(covariance, name=f"{name}_covariance", at_least=1)
        mean = torch.as_tensor(mean).detach().to("cpu", torch.float64)
        if covariance.shape != (len(mean), len(mean)):
            raise ValueError(
                f"{name}: a mean of {len(mean)} features with a covariance of "
                f"{tuple(covariance.shape)}"
            )
        gaussians.append(FullGaussian(mean, covariance))
    return distance(*gaussians)


def frechet_estimate(
    *, real: Any, fake: Any, strata: StrataOfBoth | None = None, groups: int = GROUPS
) -> Estimate:
    """The distance with a 95 % interval from a grouped jackknife of each set in turn.

    The interval speaks of the scatter from drawing other images, not of the bias at this n.

    Args:
        strata: of the real and the synthetic images, if both sets hold fixed counts of each class:
            then each group has its part of every class, and class shares don't scatter.
        groups: of images, at most; fewer where a group would have less than two.

    Returns:
        Without an interval where there are fewer than four images of a set.
    """
    real, fake = as_pair(real, fake)
    whole_real, whole_fake = fit(real), fit(fake)
    value = distance(whole_real, whole_fake)
    groups = min(groups, len(real) // 2, len(fake) // 2)
    if groups < 2:
        return Estimate(value, None, None)
    sides = strata or (None, None)
    dealt = [dealt_out(x, side, groups) for x, side in zip((real, fake), sides, strict=True)]
    without_real = [distance(whole_fake, part) for part in leave_one_group_out(real, dealt[0])]
    without_fake = [distance(whole_real, part) for part in leave_one_group_out(fake, dealt[1])]
    parts = [jackknife_variance(without_real), jackknife_variance(without_fake)]
    return t_interval(value, parts).within(0.0)


def distance(first: Gaussian, second: Gaussian) -> float:
    """Fréchet distance (squared 2-Wasserstein distance) between two Gaussians."""
    shift = (first.mean - second.mean).square().sum()
    return max(0.0, float(shift + first.spread + second.spread - 2 * first.overlap(second)))


def fit(features: Tensor) -> Gaussian:
    """Gaussian of ``(N, D)`` features, float32 or 64; all sums are float64."""
    count, size = features.shape
    mean = features.mean(0, dtype=torch.float64)
    if count <= size:
        return ThinGaussian(mean, (features - mean).div_((count - 1) ** 0.5))  # no D × D matrix
    return FullGaussian(mean, scatter(features, mean).div_(count - 1))


def leave_one_group_out(features: Tensor, group_of: Tensor) -> Iterator[Gaussian]:
    """The Gaussians that remain without each group; int64 ``(N,)`` are the groups' numbers."""
    groups = int(group_of.max()) + 1
    smallest = len(features) - (len(features) + groups - 1) // groups
    if smallest <= features.shape[1]:
        yield from (fit(features[group_of != group]) for group in range(groups))
        return
    centre = features.mean(0)  # removed first: sums of squares of large means would cancel badly
    centred = features - centre
    whole = scatter(features, centre)
    for group in range(groups):
        out = centred[group_of == group]
        count = len(features) - len(out)
        mean = -out.sum(0) / count
        rest = whole - products(out) - count * torch.outer(mean, mean)
        yield FullGaussian(centre + mean, rest / (count - 1))


# Fréchet distance at infinitely many images, FD∞ (Chong & Forsyth 2020).

PARTS = 3
GROUPS_AT_INFINITY = 6
IMAGES_PER_DIMENSION = 1.0  # tried on flat and on steep spectra: the intercept is right from here


class Side(NamedTuple):
    """One set: float64 features ``(N, D)`` and the int64 stratum of each image ``(N,)``."""

    features: Tensor
    strata: Tensor

    def kept(self, mask: Tensor) -> Side:
        return Side(self.features[mask], self.strata[mask])


def frechet_infinity(
    *,
    real: Any,
    fake: Any,
    real_strata: Tensor | None = None,
    fake_strata: Tensor | None = None,
    parts: int = PARTS,
) -> float:
    """The value at 1/n = 0 of the line through Fréchet distances at n, n/2, …, n/``parts`` images
    (Chong & Forsyth 2020).

    The paper extrapolates over the number of synthetic images only, which leaves the bias of the
    real side; here both sets shrink together, so two draws of one distribution have 0. At n/m both
    sets are cut into m disjoint parts, whose distances are averaged: every image counts once at
    every size, and nothing is random. Values slightly below 0 are legal.

    Args:
        real_strata: int64 labels ``(N,)``, if both sets were drawn in fixed proportions of them:
            smaller sets must be drawn the same way, or the line is too steep.
        fake_strata: int64 labels ``(M,)``, likewise.
        parts: into how many the smallest sets are cut, at least 2.

    Raises:
        ValueError: a set has fewer than 2·``parts`` images, or features that aren't finite
            ``(N, D)``.
    """
    sides = as_sides(real, fake, real_strata, fake_strata, at_least=2 * parts)
    return extrapolated(*sides, parts)


def frechet_infinity_estimate(
    *,
    real: Any,
    fake: Any,
    real_strata: Tensor | None = None,
    fake_strata: Tensor | None = None,
    parts: int = PARTS,
    groups: int = GROUPS_AT_INFINITY,
) -> Estimate:
    """FD∞ with a 95 % interval from a jackknife that leaves out a group of both sets at a time.

    None where the smallest part is too small for the bias to be a straight line in 1/n.
    """
    sides = as_sides(real, fake, real_strata, fake_strata, at_least=2)
    smallest = min(len(side.features) for side in sides) * (groups - 1) // (groups * parts)
    if smallest < max(2.0, IMAGES_PER_DIMENSION * effective_dimension(sides[0].features)):
        return TOO_FEW
    real_groups, fake_groups = (stratified_groups(side.strata, groups) for side in sides)
    without = [
        extrapolated(sides[0].kept(real_groups != g), sides[1].kept(fake_groups != g), parts)
        for g in range(groups)
    ]
    return t_interval(extrapolated(*sides, parts), [jackknife_variance(without)])


def as_sides(
    real: Any, fake: Any, real_strata: Tensor | None, fake_strata: Tensor | None, *, at_least: int
) -> tuple[Side, Side]:
    real, fake = as_pair(real, fake, at_least=at_least)
    one = [torch.zeros(len(features), dtype=torch.int64) for features in (real, fake)]
    return (
        Side(real, one[0] if real_strata is None else real_strata),
        Side(fake, one[1] if fake_strata is None else fake_strata),
    )


def extrapolated(real: Side, fake: Side, parts: int) -> float:
    """Intercept of the least-squares line of mean distances over m = 1, …, ``parts``."""
    means = []
    for cuts in range(1, parts + 1):
        members = [stratified_groups(side.strata, cuts) for side in (real, fake)]
        distances = [
            distance(fit(real.features[members[0] == part]), fit(fake.features[members[1] == part]))
            for part in range(cuts)
        ]
        means.append(sum(distances) / cuts)
    return intercept(means)


def intercept(means: list[float]) -> float:
    """Of the least-squares line through (1, means[0]), (2, means[1]), …"""
    values = torch.tensor(means, dtype=torch.float64)
    sizes = torch.arange(1, len(means) + 1, dtype=torch.float64)
    centred = sizes - sizes.mean()
    slope = (centred * values).sum() / centred.square().sum()
    return float(values.mean() - slope * sizes.mean())


def effective_dimension(features: Tensor) -> float:
    """(Σ√λ)² / Σλ over the eigenvalues λ of the covariance: D if all are equal, 1 for a line."""
    eigenvalues = fit(features).eigenvalues
    total = eigenvalues.sum()
    return float(eigenvalues.sqrt().sum() ** 2 / total) if total > 0 else 1.0


# Both as metrics of a report.

LEAST_COMMON_MULTIPLE = 6  # slots that can be joined to 1, 2 or 3 equal parts


class FrechetDistance(Metric):
    """:func:`frechet_distance`; FID in the space of the Inception network (Heusel et al. 2017)."""

    name = "frechet_distance"
    label = "Fréchet distance"
    higher_is_better = False
    definition = "covariance with n - 1, float64"
    interval = "jackknife over 10 groups of each set in turn, t quantile"
    slots: ClassVar[int] = 1

    def value(self, sets: Comparison) -> float:
        return frechet_distance(real=sets.real, fake=sets.fake)

    def estimate(self, sets: Comparison) -> Estimate:
        return frechet_estimate(real=sets.real, fake=sets.fake, strata=sets.strata)

    def streaming(self, num_features: int, **kwargs: Any) -> torchmetrics.Metric:
        """As for every metric, but exact for any number of images: memory is ``(D, D)`` of each
        set. ``centre`` is described in :class:`~synthgen.metrics.streaming.FrechetSums`."""
        from synthgen.metrics.streaming import FrechetSums

        return FrechetSums(num_features, self.slots, **kwargs)


class FrechetInfinity(FrechetDistance):
    """:func:`frechet_infinity` (Chong & Forsyth 2020). In batches images must arrive in random
    order, and it takes six times the memory of :class:`FrechetDistance`."""

    name = "frechet_infinity"
    label = "Fréchet distance at infinite n"
    definition = "intercept of the line in 1/n through n, n/2 and n/3 images of both sets"
    interval = "jackknife over 6 groups of both sets together, t quantile"
    slots = LEAST_COMMON_MULTIPLE

    def value(self, sets: Comparison) -> float:
        real_strata, fake_strata = strata_of(sets)
        return frechet_infinity(
            real=sets.real, fake=sets.fake, real_strata=real_strata, fake_strata=fake_strata
        )

    def estimate(self, sets: Comparison) -> Estimate:
        real_strata, fake_strata = strata_of(sets)
        return frechet_infinity_estimate(
            real=sets.real, fake=sets.fake, real_strata=real_strata, fake_strata=fake_strata
        )


def strata_of(sets: Comparison) -> tuple[Tensor | None, Tensor | None]:
    return (sets.strata[0].labels, sets.strata[1].labels) if sets.strata else (None, None)
