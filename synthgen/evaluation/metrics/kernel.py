"""Maximum mean discrepancy under two kernels: KID (Bińkowski et al. 2018) and the Gaussian kernel
of CMMD (Jayasumana et al. 2024). Unbiased unless said otherwise, so small sets may be compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from synthgen.evaluation.metrics.arrays import as_pair, spread_groups
from synthgen.evaluation.metrics.intervals import Estimate, jackknife_variance, t_interval

GROUPS = 10
CHUNK = 256  # rows of the kernel matrix held at a time
BANDWIDTH_FROM = 1000  # real images whose pairs give the Gaussian kernel's bandwidth
CMMD_BANDWIDTH = 10.0
CMMD_SCALE = 1000.0

# (dot products (R, C), squared norms (R, 1), squared norms (C,), D) -> kernel (R, C)
Kernel = Callable[[Tensor, Tensor, Tensor, int], Tensor]


class KernelEstimates(NamedTuple):
    """Both estimates from one pass over the pairs, and the Gaussian kernel's bandwidth."""

    kid: Estimate
    mmd: Estimate
    bandwidth: float


def kid(*, real: Any, fake: Any) -> float:
    """Unbiased squared MMD of ``(N, D)`` features under the kernel (x·y / D + 1)³; 0 is best.

    Values slightly below 0 are legal, and usual for sets drawn in the same proportions of the
    classes, which are more alike than independent draws.

    Every pair of images is used (one full-sample estimate, no random subsets), so the value is
    deterministic and equals the common estimators at subset size = n.
    """
    real, fake = as_pair(real, fake)
    return KernelSums(real, fake, [cubic], groups=1).mmd(0)


def mmd(*, real: Any, fake: Any, bandwidth: float | None = None) -> float:
    """Unbiased squared MMD of ``(N, D)`` features under exp(-|x - y|² / 2σ²), between about 0
    (slightly below is legal) and 2. ``bandwidth`` σ: None takes the median distance between real
    images, so that the value does not depend on the scale of the features."""
    real, fake = as_pair(real, fake)
    bandwidth = median_distance(real) if bandwidth is None else bandwidth
    return KernelSums(real, fake, [gaussian(bandwidth)], groups=1).mmd(0)


def cmmd(*, real: Any, fake: Any) -> float:
    """CMMD as published: features scaled to length 1, σ = 10, the biased estimate (pairs of an
    image with itself count), times 1,000. Meant for CLIP embeddings."""
    real, fake = as_pair(real, fake)
    real, fake = (torch.nn.functional.normalize(x, dim=1) for x in (real, fake))
    return CMMD_SCALE * KernelSums(real, fake, [gaussian(CMMD_BANDWIDTH)], groups=1).biased_mmd(0)


def kid_estimate(*, real: Any, fake: Any, groups: int = GROUPS) -> Estimate:
    """KID with a 95 % interval: the kernel is summed over blocks of groups of images, and leaving
    a group out (jackknife) only re-adds the blocks."""
    real, fake = as_pair(real, fake)
    groups = min(groups, len(real) // 2, len(fake) // 2)
    return KernelSums(real, fake, [cubic], groups=max(groups, 1)).estimate(0)


def kernel_estimates(*, real: Any, fake: Any, groups: int = GROUPS) -> KernelEstimates:
    """:func:`kid_estimate`, and :func:`mmd` likewise, for the price of one."""
    real, fake = as_pair(real, fake)
    groups = min(groups, len(real) // 2, len(fake) // 2)
    bandwidth = median_distance(real)
    sums = KernelSums(real, fake, [cubic, gaussian(bandwidth)], groups=max(groups, 1))
    return KernelEstimates(sums.estimate(0), sums.estimate(1), bandwidth)


class KernelSums:
    """Sums of each kernel over all pairs of groups; pairs of an image with itself stand apart."""

    def __init__(self, real: Tensor, fake: Tensor, kernels: list[Kernel], *, groups: int) -> None:
        self.groups = groups
        group_of = torch.cat(
            [spread_groups(len(real), groups), groups + spread_groups(len(fake), groups)]
        )
        self.counts = torch.bincount(group_of, minlength=2 * groups).double()
        member = torch.nn.functional.one_hot(group_of, 2 * groups).double()
        self.sums, self.own = pair_sums(torch.cat([real, fake]), member, kernels)

    def estimate(self, which: int) -> Estimate:
        """Unbiased estimate with its interval, or without one if there is but one group."""
        value = self.mmd(which)
        if self.groups < 2:
            return Estimate(value, None, None)
        variances = [
            jackknife_variance([self.mmd(which, without=first + i) for i in range(self.groups)])
            for first in (0, self.groups)
        ]
        return t_interval(value, variances)

    def mmd(self, which: int, *, without: int | None = None) -> float:
        """The unbiased estimate under one kernel, one group left out if asked."""
        kept = torch.ones(2 * self.groups, dtype=torch.float64)
        if without is not None:
            kept[without] = 0
        return self._mmd(which, kept, self.sums[which] - self.own[which].diag(), 1)

    def biased_mmd(self, which: int) -> float:
        kept = torch.ones(2 * self.groups, dtype=torch.float64)
        return self._mmd(which, kept, self.sums[which], 0)

    def _mmd(self, which: int, kept: Tensor, sums: Tensor, lost: int) -> float:
        real, fake = kept.clone(), kept.clone()
        real[self.groups :], fake[: self.groups] = 0, 0
        n_real, n_fake = real @ self.counts, fake @ self.counts
        within_real = real @ sums @ real / (n_real * (n_real - lost))
        within_fake = fake @ sums @ fake / (n_fake * (n_fake - lost))
        return float(within_real + within_fake - 2 * (real @ sums @ fake) / (n_real * n_fake))


def pair_sums(
    features: Tensor, member: Tensor, kernels: list[Kernel]
) -> tuple[list[Tensor], list[Tensor]]:
    """For each kernel its sums ``(G, G)`` over the pairs of every two groups, and ``(G,)`` over
    the pairs of an image with itself. ``member`` ``(N, G)`` is 1 where an image is in a group.

    Each pair is computed once: a chunk of rows meets itself and the rows after it.
    """
    groups, size = member.shape[1], features.shape[1]
    norms = features.square().sum(1)
    sums = [torch.zeros(groups, groups, dtype=torch.float64) for _ in kernels]
    own = [torch.zeros(groups, dtype=torch.float64) for _ in kernels]
    for start in range(0, len(features), CHUNK):
        stop = min(start + CHUNK, len(features))
        dots = features[start:stop] @ features[start:].T
        for total, alone, kernel in zip(sums, own, kernels, strict=True):
            block = kernel(dots, norms[start:stop, None], norms[start:], size)
            rows = member[start:stop].T
            alone += rows @ block.diagonal()
            total += rows @ (block[:, : stop - start] @ member[start:stop])
            later = rows @ (block[:, stop - start :] @ member[stop:])
            total += later + later.T
    return sums, own


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
