"""Distances between sets of features that need no Gaussian: maximum mean discrepancy under two
kernels, sliced Wasserstein distance and MIND."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from synthgen.metrics.arrays import Strata, StrataOfBoth, as_pair, dealt_out, weighted
from synthgen.metrics.base import Comparison, Metric
from synthgen.stats import Estimate, jackknife_variance, t_interval

# Maximum mean discrepancy under two kernels: KID (Bińkowski et al. 2018) and the Gaussian kernel of
# CMMD (Jayasumana et al. 2024). Unbiased unless said otherwise, so small sets may be compared.

GROUPS = 10
FEWEST_FOR_PAIRS = 5  # groups, for two of them to show what pairs do
CHUNK_KERNEL = 256  # rows of the kernel matrix held at a time
BANDWIDTH_FROM = 1000  # real images whose pairs give the Gaussian kernel's bandwidth
CMMD_BANDWIDTH = 10.0
CMMD_SCALE = 1000.0
DIRECTIONS = 1000
DIRECTIONS_FOR_INTERVAL = 200
CHUNK_SLICED = 100  # directions held at a time
SCALE = 3.0

# (dot products (R, C), squared norms (R, 1), squared norms (C,), D) -> kernel (R, C)
Kernel = Callable[[Tensor, Tensor, Tensor, int], Tensor]


class KernelEstimates(NamedTuple):
    """Both estimates from one pass over the pairs, the Gaussian kernel's bandwidth, and KID as
    published, which takes all images for drawn freely."""

    kid: Estimate
    mmd: Estimate
    bandwidth: float
    plain_kid: float


def kid(*, real: Any, fake: Any) -> float:
    """Unbiased squared MMD of ``(N, D)`` features under the kernel (x·y / D + 1)³ (Bińkowski et al.
    2018; Gretton et al. 2012, lemma 6); 0 is best.

    As published: for images drawn freely. With fixed counts of each class it lies below the truth;
    give the classes to :func:`kid_estimate` then. Values slightly below 0 are legal.

    Every pair of images is used (one full-sample estimate, no random subsets), so the value is
    deterministic and equals the common estimators at subset size = n.

    Raises:
        ValueError: a set has fewer than two images, or features that aren't finite ``(N, D)``.
    """
    real, fake = as_pair(real, fake)
    return KernelSums(real, fake, [cubic], groups=1).mmd(0)


def mmd(*, real: Any, fake: Any, bandwidth: float | None = None) -> float:
    """Unbiased squared MMD of ``(N, D)`` features under exp(-|x - y|² / 2σ²), between about 0
    (slightly below is legal) and 2.

    Args:
        bandwidth: σ, above 0; None takes the median distance between real images, so that the
            value does not depend on the scale of the features.

    Raises:
        ValueError: a set has fewer than two images, or features that aren't finite ``(N, D)``.
    """
    real, fake = as_pair(real, fake)
    bandwidth = median_distance(real) if bandwidth is None else bandwidth
    return KernelSums(real, fake, [gaussian(bandwidth)], groups=1).mmd(0)


def cmmd(*, real: Any, fake: Any) -> float:
    """CMMD as published (Jayasumana et al. 2024): features scaled to length 1, σ = 10, the biased
    estimate (pairs of an image with itself count), times 1,000. Meant for CLIP embeddings."""
    real, fake = as_pair(real, fake)
    real, fake = (torch.nn.functional.normalize(x, dim=1) for x in (real, fake))
    return CMMD_SCALE * KernelSums(real, fake, [gaussian(CMMD_BANDWIDTH)], groups=1).biased_mmd(0)


def kid_estimate(
    *, real: Any, fake: Any, strata: StrataOfBoth | None = None, groups: int = GROUPS
) -> Estimate:
    """KID with a 95 % interval from a jackknife that leaves out a group of either set at a time.

    Args:
        strata: of the real and the synthetic images, if both sets hold fixed counts of each class:
            the squared MMD between the two mixtures of classes then, unbiased given the counts,
            where :func:`kid` would lie below it. Without strata the value is that of :func:`kid`.
        groups: of images, at most; fewer where a group would have less than two.
    """
    real, fake = as_pair(real, fake)
    groups = max(min(groups, len(real) // 2, len(fake) // 2), 1)
    return KernelSums(real, fake, [cubic], groups=groups, strata=strata).estimate(0)


def kernel_estimates(
    *, real: Any, fake: Any, strata: StrataOfBoth | None = None, groups: int = GROUPS
) -> KernelEstimates:
    """:func:`kid_estimate`, and :func:`mmd` likewise, for the price of one."""
    real, fake = as_pair(real, fake)
    groups = max(min(groups, len(real) // 2, len(fake) // 2), 1)
    bandwidth = median_distance(real)
    kernels = [cubic, gaussian(bandwidth)]
    sums = KernelSums(real, fake, kernels, groups=groups, strata=strata)
    return KernelEstimates(sums.estimate(0), sums.estimate(1), bandwidth, sums.plain_mmd(0))


class KernelSums:
    """Weighted sums of each kernel over all pairs, for the whole sets and without each group.

    With classes of shares w_k and n_k images the mean over pairs of one set is
    Σ_k w_k² Σ_{i≠j} k(xᵢ, xⱼ) / n_k (n_k - 1) + Σ_{k≠l} w_k w_l Σ_{i,j} k(xᵢ, xⱼ) / n_k n_l, whose
    expectation is that of two independent draws from the mixture; between the sets it is
    Σ_{k,l} w_k v_l Σ_{i,j} k(xᵢ, yⱼ) / n_k m_l. One class each gives the unbiased estimate of
    Gretton et al. 2012 (lemma 6).
    """

    def __init__(
        self,
        real: Tensor,
        fake: Tensor,
        kernels: list[Kernel],
        *,
        groups: int,
        strata: StrataOfBoth | None = None,
    ) -> None:
        self.groups = groups
        one = [Strata(torch.zeros(len(x), dtype=torch.int64)) for x in (real, fake)]
        sides = [weighted(side, groups) for side in strata or one]
        features = torch.cat([x[side.order] for x, side in zip((real, fake), sides, strict=True)])
        self.counts = len(real), len(fake)
        self.columns = sides[0].weights.shape[1]
        weights = torch.block_diag(sides[0].weights, sides[1].weights)
        tied = torch.block_diag(sides[0].tied, sides[1].tied)
        stratum = torch.cat([sides[0].stratum, sides[0].stratum[-1] + 1 + sides[1].stratum])
        self.sums = [Sums(weights.shape[1]) for _ in kernels]
        add_pairs(self.sums, features, weights, tied, stratum, kernels)

    def estimate(self, which: int) -> Estimate:
        """Unbiased estimate with its interval, or without one if there is but one group."""
        value = self.mmd(which)
        if self.groups < 2:
            return Estimate(value, None, None)
        left_out = range(1, self.groups + 1)
        variances = [
            jackknife_variance([self.mmd(which, real=group) for group in left_out]),
            jackknife_variance([self.mmd(which, fake=group) for group in left_out]),
        ]
        return t_interval(value, pairs_once(variances, self._of_pairs(which)))

    def _of_pairs(self, which: int) -> float:
        """Variance of the estimate that is owed to pairs as such, not to the images in them: to
        what two groups do together beyond what each does."""
        if self.groups < FEWEST_FOR_PAIRS:
            return 0.0
        total = self.sums[which].total
        real, fake = (slice(first, first + self.groups) for first in (1, self.columns + 1))
        # Each group's step is that of a jackknife, whose squares sum to G / (G - 1) variances.
        scale = ((self.groups - 1) / self.groups) ** 2
        within = beyond_rows(total[real, real]) + beyond_rows(total[fake, fake])
        return scale * (2 * within + 4 * beyond_rows_and_columns(total[real, fake]))

    def mmd(self, which: int, *, real: int = 0, fake: int = 0) -> float:
        """The unbiased estimate under one kernel; ``real`` and ``fake`` are columns of the weights
        of each set: 0 the whole, g without group g - 1."""
        sums, other = self.sums[which], self.columns + fake
        within = (sums.total.diag() - sums.own + sums.tied)[[real, other]].sum()
        return float(within - 2 * sums.total[real, other])

    def plain_mmd(self, which: int) -> float:
        """The estimate of images that are all alike, drawn freely."""
        sums = self.sums[which]
        real, fake = self.columns - 1, 2 * self.columns - 1
        within = [
            (sums.total[column, column] - sums.own[column]) * count / (count - 1)
            for column, count in zip((real, fake), self.counts, strict=True)
        ]
        return float(within[0] + within[1] - 2 * sums.total[real, fake])

    def biased_mmd(self, which: int) -> float:
        total = self.sums[which].total
        return float(total[0, 0] + total[self.columns, self.columns] - 2 * total[0, self.columns])


class Sums:
    """What one kernel adds up to, for R columns of weights."""

    def __init__(self, columns: int) -> None:
        self.total = torch.zeros(columns, columns, dtype=torch.float64)  # over all pairs
        self.own = torch.zeros(columns, dtype=torch.float64)  # of an image with itself
        self.tied = torch.zeros(columns, dtype=torch.float64)  # of different ones of a stratum


def add_pairs(
    sums: list[Sums],
    features: Tensor,
    weights: Tensor,
    tied: Tensor,
    stratum: Tensor,
    kernels: list[Kernel],
) -> None:
    """Add to the sums of each kernel; ``weights`` and ``tied`` ``(N, R)``, int64 ``stratum``
    ``(N,)`` ascending.

    Each pair is computed once: a chunk of rows meets itself and the rows after it.
    """
    norms = features.square().sum(1)
    for start in range(0, len(features), CHUNK_KERNEL):
        stop = min(start + CHUNK_KERNEL, len(features))
        dots = features[start:stop] @ features[start:].T
        rows = weights[start:stop]
        for found, kernel in zip(sums, kernels, strict=True):
            block = kernel(dots, norms[start:stop, None], norms[start:], features.shape[1])
            found.own += block.diagonal() @ rows.square()
            found.total += rows.T @ (block[:, : stop - start] @ rows)
            later = rows.T @ (block[:, stop - start :] @ weights[stop:])
            found.total += later + later.T
            found.tied += tied_pairs(block, tied[start:], stratum[start:])


def tied_pairs(block: Tensor, tied: Tensor, stratum: Tensor) -> Tensor:
    """``(R,)``: what a kernel's first rows ``(C, N)`` add over pairs of different images of one
    stratum; the weights ``(N, R)`` and strata ``(N,)`` of the columns begin with those rows."""
    total = torch.zeros(tied.shape[1], dtype=torch.float64)
    _, lengths = stratum.unique_consecutive(return_counts=True)
    first = 0
    for length in lengths.tolist():
        if first >= len(block):
            break
        here, end = min(first + length, len(block)), first + length
        rows = tied[first:here]
        square = block[first:here, first:here]
        total += (rows * (square @ rows)).sum(0) - square.diagonal() @ rows.square()
        total += 2 * (rows * (block[first:here, here:end] @ tied[here:end])).sum(0)
        first = end
    return total


def pairs_once(jackknife: list[tuple[float, float]], of_pairs: float) -> list[tuple[float, float]]:
    """Variances less what the jackknife counts twice: leaving out either image of a pair shows the
    pair (Efron & Stein 1981). Between sets of one distribution pairs are all there is, so half of
    the jackknife's variance is the truth there, and the least anywhere."""
    whole = sum(variance for variance, _ in jackknife)
    kept = max(0.5, 1 - of_pairs / whole) if whole > 0 else 1.0
    return [(kept * variance, degrees) for variance, degrees in jackknife]


def beyond_rows_and_columns(table: Tensor) -> float:
    """Sum of squares of what the rows and columns of ``(G, G)`` don't explain."""
    rest = table - table.mean(0) - table.mean(1, keepdim=True) + table.mean()
    return float(rest.square().sum())


def beyond_rows(table: Tensor) -> float:
    """The same of a symmetric table whose diagonal says nothing (Griffing 1956, method 4), as large
    as if it did."""
    size = len(table)
    apart = table - torch.diag(table.diag())
    rows = apart.sum(1)
    rest = apart - (rows[:, None] + rows) / (size - 2) + rows.sum() / ((size - 1) * (size - 2))
    degrees = size * (size - 3) / 2
    return float(rest.triu(1).square().sum()) / degrees * (size - 1) ** 2


def cubic(dots: Tensor, row_norms: Tensor, column_norms: Tensor, size: int) -> Tensor:
    """(x·y / D + 1)³."""
    base = dots / size + 1
    return base.square().mul_(base)


def gaussian(bandwidth: float) -> Kernel:
    """exp(-|x - y|² / 2σ²)."""

    def kernel(dots: Tensor, row_norms: Tensor, column_norms: Tensor, size: int) -> Tensor:
        squared = torch.add(row_norms + column_norms, dots, alpha=-2).clamp_(min=0)
        return squared.mul_(-0.5 / bandwidth**2).exp_()

    return kernel


def median_distance(features: Tensor) -> float:
    """Median distance between two of (at most 1,000) images, spread over the rows; 1 if it is 0."""
    every = max(1, len(features) // BANDWIDTH_FROM)
    return float(torch.pdist(features[::every]).median()) or 1.0


# Sliced Wasserstein distance, and MIND (Berthet et al. 2026), its form for sets of images.


def mind(*, real: Any, fake: Any, directions: int = DIRECTIONS) -> float:
    """3·D times :func:`sliced_wasserstein` (Berthet et al. 2026): of the order of the Fréchet
    distance, but sensitive to any difference between the distributions, not only to their first
    two moments."""
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
    for chunk in vectors.split(CHUNK_SLICED):
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


# As metrics of a report.

PAIRS_ONCE = (
    "jackknife over 10 groups of each set in turn, without what it counts twice, t quantile"
)


def both_kernels(sets: Comparison) -> KernelEstimates:
    """KID and MMD for the price of one."""
    return kernel_estimates(real=sets.real, fake=sets.fake, strata=sets.strata)


class KID(Metric):
    """:func:`kid_estimate` (Bińkowski et al. 2018)."""

    name = "kid"
    label = "KID"
    higher_is_better = False
    definition = (
        "squared MMD, all pairs, kernel (x·y/D + 1)³; unbiased for sets with fixed counts of each "
        "class, whose pairs of one class are weighted by 1/(n_k(n_k - 1)) and the class's squared "
        "share. The published estimator takes all images for drawn freely, and lies lower: it is "
        "in settings as plain, for comparing with other people's numbers. Class shares are those "
        "of all real images, unless the set's own differ from them (p < 0.001)"
    )
    interval = PAIRS_ONCE

    def value(self, sets: Comparison) -> float:
        return kid(real=sets.real, fake=sets.fake)

    def estimate(self, sets: Comparison) -> Estimate:
        return sets.once(both_kernels).kid

    def settings(self, sets: Comparison) -> dict[str, float] | None:
        return {"plain": sets.once(both_kernels).plain_kid} if sets.strata else None


class MMD(Metric):
    """:func:`mmd`, and with classes as :func:`kernel_estimates` has it."""

    name = "mmd"
    label = "MMD"
    higher_is_better = False
    definition = (
        "squared MMD as for KID, with a Gaussian kernel, its bandwidth the median distance between "
        "real images (in settings)"
    )
    interval = PAIRS_ONCE

    def value(self, sets: Comparison) -> float:
        return mmd(real=sets.real, fake=sets.fake)

    def estimate(self, sets: Comparison) -> Estimate:
        return sets.once(both_kernels).mmd

    def settings(self, sets: Comparison) -> dict[str, float]:
        return {"bandwidth": sets.once(both_kernels).bandwidth}


class CMMD(Metric):
    """:func:`cmmd` (Jayasumana et al. 2024), comparable with published values in the space of their
    CLIP model only."""

    name = "cmmd"
    label = "CMMD"
    higher_is_better = False
    definition = "1,000 times the biased squared MMD of unit features, Gaussian kernel, σ = 10"

    def value(self, sets: Comparison) -> float:
        return cmmd(real=sets.real, fake=sets.fake)


class MIND(Metric):
    """:func:`mind` (Berthet et al. 2026)."""

    name = "mind"
    label = "MIND (sliced Wasserstein)"
    higher_is_better = False
    definition = "3·D times the squared 2-Wasserstein distance along 1,000 fixed directions"

    def value(self, sets: Comparison) -> float:
        return mind(real=sets.real, fake=sets.fake)

    def estimate(self, sets: Comparison) -> Estimate:
        return mind_estimate(real=sets.real, fake=sets.fake, strata=sets.strata)
