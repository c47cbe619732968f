"""Fréchet distance between two sets of features (Heusel et al. 2017, eq. 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthgen.evaluation.metrics.arrays import as_pair, spread_groups
from synthgen.evaluation.metrics.intervals import Estimate, jackknife_variance, t_interval

GROUPS = 10


@dataclass(frozen=True)
class Gaussian:
    """Mean ``(D,)`` and a factor F ``(R, D)`` of the covariance S = FᵀF (divisor n - 1)."""

    mean: Tensor
    factor: Tensor


def frechet_distance(*, real: Any, fake: Any) -> float:
    """|μ₁ - μ₂|² + Tr(S₁ + S₂ - 2 (S₁S₂)^½) of ``(N, D)`` features; 0 is best.

    All arithmetic is float64; covariances have the divisor n - 1. The value is biased upwards by
    about 1/n (and by D), so compare values of equal n only.
    """
    real, fake = as_pair(real, fake)
    return distance(fit(real), fit(fake))


def frechet_estimate(*, real: Any, fake: Any, groups: int = GROUPS) -> Estimate:
    """The distance with a 95 % interval from a grouped jackknife of each set in turn.

    The interval speaks of the scatter from drawing other images, not of the bias at this n.
    """
    real, fake = as_pair(real, fake)
    whole_real, whole_fake = fit(real), fit(fake)
    value = distance(whole_real, whole_fake)
    groups = min(groups, len(real) // 2, len(fake) // 2)
    if groups < 2:
        return Estimate(value, None, None)
    without_real = [distance(part, whole_fake) for part in leave_one_group_out(real, groups)]
    without_fake = [distance(whole_real, part) for part in leave_one_group_out(fake, groups)]
    parts = [jackknife_variance(without_real), jackknife_variance(without_fake)]
    return t_interval(value, parts).within(0.0)


def distance(first: Gaussian, second: Gaussian) -> float:
    """Fréchet distance (squared 2-Wasserstein distance) between two Gaussians.

    With S = FᵀF, Tr(S₁S₂)^½ is the nuclear norm of F₁F₂ᵀ, the sum of its singular values. This
    needs no matrix square root of a product that is not symmetric, is real and finite for singular
    covariances, and cancels to rounding when both sets are the same.
    """
    shift = (first.mean - second.mean).square().sum()
    product = first.factor @ second.factor.T
    overlap = torch.linalg.svdvals(product).sum()
    spread = first.factor.square().sum() + second.factor.square().sum()
    return max(0.0, float(shift + spread - 2 * overlap))


def fit(features: Tensor) -> Gaussian:
    """Gaussian of float64 ``(N, D)`` features."""
    count, size = features.shape
    mean = features.mean(0)
    centred = features - mean
    if count <= size:
        return Gaussian(mean, centred / (count - 1) ** 0.5)  # (N, D): no D × D matrix at all
    return Gaussian(mean, factorise(centred.T @ centred / (count - 1)))


def factorise(covariance: Tensor) -> Tensor:
    """F with FᵀF = the symmetric ``(D, D)`` covariance; rounding below 0 counts as 0."""
    values, vectors = torch.linalg.eigh(covariance)
    return values.clamp_min(0).sqrt()[:, None] * vectors.T


def leave_one_group_out(features: Tensor, groups: int) -> list[Gaussian]:
    """The Gaussians that remain when one of ``groups`` random groups is left out."""
    group_of = spread_groups(len(features), groups)
    smallest = len(features) - (len(features) + groups - 1) // groups
    if smallest <= features.shape[1]:
        return [fit(features[group_of != group]) for group in range(groups)]
    centre = features.mean(0)  # removed first: sums of squares of large means would cancel badly
    centred = features - centre
    scatter = centred.T @ centred
    left = []
    for group in range(groups):
        out = centred[group_of == group]
        count = len(features) - len(out)
        mean = -out.sum(0) / count
        rest = scatter - out.T @ out - count * torch.outer(mean, mean)
        left.append(Gaussian(centre + mean, factorise(rest / (count - 1))))
    return left
