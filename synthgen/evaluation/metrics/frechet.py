"""Fréchet distance between two sets of features (Heusel et al. 2017, eq. 6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from synthgen.evaluation.metrics.arrays import as_features, as_pair, check_pair
from synthgen.evaluation.metrics.gaussians import (
    FullGaussian,
    Gaussian,
    ThinGaussian,
    products,
    scatter,
)
from synthgen.evaluation.metrics.intervals import Estimate, jackknife_variance, t_interval
from synthgen.evaluation.metrics.strata import StrataOfBoth, dealt_out

GROUPS = 10


def frechet_distance(*, real: Any, fake: Any) -> float:
    """|μ₁ - μ₂|² + Tr(S₁ + S₂ - 2 (S₁S₂)^½) of ``(N, D)`` features; 0 is best.

    All arithmetic is float64; covariances have the divisor n - 1. The value is biased upwards by
    about 1/n (and by D), so compare values of equal n only.
    """
    real, fake = check_pair(real, fake)
    return distance(fit(real), fit(fake))


def frechet_from_moments(
    *, real_mean: Any, real_covariance: Any, fake_mean: Any, fake_covariance: Any
) -> float:
    """The same from means ``(D,)`` and covariances ``(D, D)``, for instance published ones."""
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

    The interval speaks of the scatter from drawing other images, not of the bias at this n. Give
    ``strata`` if both sets hold fixed counts of each class: then each group has its part of every
    class, and class shares don't scatter.
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
