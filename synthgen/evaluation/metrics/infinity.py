"""Fréchet distance at infinitely many images, FD∞ (Chong & Forsyth 2020)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from synthgen.evaluation.metrics.arrays import as_pair, stratified_groups
from synthgen.evaluation.metrics.frechet import distance, fit
from synthgen.evaluation.metrics.intervals import TOO_FEW, Estimate, jackknife_variance, t_interval

PARTS = 3
GROUPS = 6
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
    """The value at 1/n = 0 of the line through Fréchet distances at n, n/2, …, n/``parts`` images.

    The paper extrapolates over the number of synthetic images only, which leaves the bias of the
    real side; here both sets shrink together, so two draws of one distribution have 0. At n/m both
    sets are cut into m disjoint parts, whose distances are averaged: every image counts once at
    every size, and nothing is random. Values slightly below 0 are legal.

    Give ``strata`` (labels) if both sets were drawn in fixed proportions of them: smaller sets must
    be drawn the same way, or the line is too steep.
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
    groups: int = GROUPS,
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
