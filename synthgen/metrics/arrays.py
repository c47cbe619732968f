"""What all metrics accept: one row of numbers per image, of sets drawn freely or class by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def check_features(values: Any, *, name: str, at_least: int = 2) -> Tensor:
    """NumPy or torch ``(N, D)`` -> a tensor on the CPU, float32 if it was, else float64. Raises
    ValueError for another shape, for fewer than ``at_least`` rows and for numbers that are not
    finite."""
    features = torch.as_tensor(values).detach().cpu()
    if features.dtype != torch.float32:
        features = features.double()
    if features.ndim != 2:
        raise ValueError(f"{name} must be (images, features), got {tuple(features.shape)}")
    if len(features) < at_least:
        raise ValueError(f"{name} must hold at least {at_least} images, got {len(features)}")
    if not torch.isfinite(features.sum(dtype=torch.float64)):  # one number per pass, no mask
        raise ValueError(f"{name} holds numbers that are not finite")
    return features


def as_features(values: Any, *, name: str, at_least: int = 2) -> Tensor:
    """:func:`check_features` in float64."""
    return check_features(values, name=name, at_least=at_least).double()


def check_pair(real: Any, fake: Any, *, at_least: int = 2) -> tuple[Tensor, Tensor]:
    """Both sets checked, and checked to lie in one space."""
    real = check_features(real, name="real", at_least=at_least)
    fake = check_features(fake, name="fake", at_least=at_least)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f"real has {real.shape[1]} features per image, fake {fake.shape[1]}")
    return real, fake


def as_pair(real: Any, fake: Any, *, at_least: int = 2) -> tuple[Tensor, Tensor]:
    """:func:`check_pair` in float64."""
    real, fake = check_pair(real, fake, at_least=at_least)
    return real.double(), fake.double()


def spread_groups(count: int, groups: int) -> Tensor:
    """Group number of each of ``count`` rows: a fixed random assignment to groups of equal size
    (±1), so that sorted input (all of class 0 first) does not make unequal groups."""
    return stratified_groups(torch.zeros(count, dtype=torch.int64), groups)


def stratified_groups(strata: Tensor, groups: int) -> Tensor:
    """:func:`spread_groups` that also deals the rows of each stratum ``(N,)`` out evenly (±1)."""
    order = torch.randperm(len(strata), generator=torch.Generator().manual_seed(0))
    order = order[strata[order].argsort(stable=True)]
    assignment = torch.empty(len(strata), dtype=torch.int64)
    assignment[order] = torch.arange(len(strata)) % groups
    return assignment


# Sets that hold a fixed number of images of each class, and stand for a mixture of the classes.
#
# Two images of one set are then rarer of one class than two drawn freely: of n_k (n_k - 1) pairs,
# not n_k². Whoever averages over pairs has to weight them, or two sets of one distribution lie
# nearer to each other than each to itself (stratified sampling, Cochran 1977, chapter 5).

TINY = 1e-300
FEWEST = 2  # images of a stratum, whichever group is left out: pairs need two


@dataclass(frozen=True)
class Strata:
    """Classes of a set that holds fixed counts of each.

    Args:
        labels: int64 ``(N,)``.
        shares: of each class in what the set stands for, float ``(classes,)``; None: those that it
            has.
    """

    labels: Tensor
    shares: Tensor | None = None

    def share_of(self, counts: Tensor) -> Tensor:
        """float64 ``(classes,)`` of the classes that have images; they sum to 1.

        Raises:
            ValueError: no class that should have a share has an image.
        """
        shares = counts.double() if self.shares is None else self.shares.double()
        shares = torch.where(counts > 0, shares[: len(counts)], 0.0)
        if not shares.sum() > 0:
            raise ValueError("none of the classes that should have a share has an image")
        return shares / shares.sum()


StrataOfBoth = tuple[Strata, Strata]  # of the real and of the synthetic images


def dealt_out(features: Tensor, strata: Strata | None, groups: int) -> Tensor:
    """Group numbers int64 ``(N,)``: each group has its part of every class, if these are told."""
    if strata is None:
        return spread_groups(len(features), groups)
    return stratified_groups(strata.labels, groups)


@dataclass(frozen=True)
class Weighted:
    """A set in G groups, sorted by stratum, with columns of weights that sum to 1: the whole set
    first, then the set without each group, and last the whole with all images alike."""

    order: Tensor  # int64 (N,): positions in the set as it came
    stratum: Tensor  # int64 (N,) ascending
    weights: Tensor  # float64 (N, G + 2)
    tied: Tensor  # float64 (N, G + 2): their products complete the pairs of one stratum


def weighted(strata: Strata, groups: int) -> Weighted:
    """Weights share / count, where a pair of one stratum stands for n / (n - 1) pairs.

    A class with fewer than three images shares a stratum with the others of its kind (with the
    smallest class, if it is alone), as if these had been drawn freely (collapsed strata, Cochran
    1977, section 5A.12): the pairs of a class with one image are unknown.
    """
    group = turned(stratified_groups(strata.labels, groups), strata.labels, groups)
    stratum = collapsed(strata.labels.unique(return_inverse=True)[1], group)
    of_class = torch.bincount(strata.labels)
    of_image = (strata.share_of(of_class) / of_class.clamp_min(1))[strata.labels]
    counts = torch.bincount(stratum).double()
    shares = torch.zeros(len(counts), dtype=torch.float64).index_add_(0, stratum, of_image)
    whole = (shares / counts)[stratum, None]
    inside = torch.nn.functional.one_hot(group, groups).double()
    remaining = counts[:, None] - torch.zeros(len(counts), groups).double().index_add_(
        0, stratum, inside
    )
    without = (1 - inside) * (shares[:, None] / remaining)[stratum]
    # Where a stratum has fewer images than there are groups, most groups leave none of it out, and
    # the others its n-th part instead of the G-th: a longer step than the jackknife is told of.
    few = ((1 - 1 / counts) / (1 - 1 / groups)).clamp_max(1).sqrt()[stratum, None]
    without = whole + few * (without - whole) if groups > 1 else without
    even = torch.full_like(whole, 1 / len(stratum))
    weights = torch.cat([whole, without, even], dim=1)
    order = stratum.argsort(stable=True)
    return Weighted(order, stratum[order], weights[order], completing(weights, stratum)[order])


def turned(group: Tensor, labels: Tensor, groups: int) -> Tensor:
    """Each class begins with another group at random: where classes have fewer images than there
    are groups, no two groups have the same classes only."""
    random = torch.Generator().manual_seed(0)
    first = torch.randint(groups, (int(labels.max()) + 1,), generator=random)
    return (group + first[labels]) % groups


def completing(weights: Tensor, stratum: Tensor) -> Tensor:
    """Weights ``(N, R)`` whose products, over the pairs of different images of one stratum, add
    what those of an image with itself should have had: of all pairs these are Σ a² / (Σ a)²."""
    sums = torch.zeros(int(stratum.max()) + 1, weights.shape[1], dtype=torch.float64)
    squares = sums.clone().index_add_(0, stratum, weights.square())
    whole = sums.index_add_(0, stratum, weights).square()
    return weights * (squares / (whole - squares).clamp_min(TINY)).sqrt()[stratum]


def collapsed(stratum: Tensor, group: Tensor) -> Tensor:
    """Numbers of strata ``(N,)`` that keep two images whichever group is left out."""
    groups = int(group.max()) + 1
    while True:
        strata = int(stratum.max()) + 1
        table = torch.bincount(stratum * groups + group, minlength=strata * groups)
        table = table.view(strata, groups)
        counts = table.sum(1)
        left = counts - table.amax(1) if groups > 1 else counts
        thin = left < FEWEST
        if strata == 1 or not bool(thin.any()):
            return stratum
        if int(thin.sum()) == 1:
            thin[torch.where(thin, counts.max() + 1, counts).argmin()] = True
        one = int(thin.nonzero()[0])
        stratum = torch.where(thin[stratum], one, stratum).unique(return_inverse=True)[1]
