"""Kernel distance (KID, Bińkowski et al. 2018): unbiased, so small sets may be compared."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from synthgen.evaluation.metrics.arrays import as_pair, spread_groups
from synthgen.evaluation.metrics.intervals import Estimate, jackknife_variance, t_interval

GROUPS = 10


def kid(*, real: Any, fake: Any) -> float:
    """Unbiased squared MMD of ``(N, D)`` features under the kernel (x·y / D + 1)³; 0 is best and
    values slightly below 0 are legal.

    Every pair of images is used (one full-sample estimate, no random subsets), so the value is
    deterministic and equals the common estimators at subset size = n.
    """
    real, fake = as_pair(real, fake)
    return KernelSums(real, fake, groups=1).mmd()


def kid_estimate(*, real: Any, fake: Any, groups: int = GROUPS) -> Estimate:
    """KID with a 95 % interval: the kernel is summed over blocks of groups of images, and leaving
    a group out (jackknife) only re-adds the blocks."""
    real, fake = as_pair(real, fake)
    groups = min(groups, len(real) // 2, len(fake) // 2)
    if groups < 2:
        return Estimate(KernelSums(real, fake, groups=1).mmd(), None, None)
    sums = KernelSums(real, fake, groups=groups)
    everything = torch.ones(groups, dtype=torch.float64)
    masks = everything - torch.eye(groups, dtype=torch.float64)
    return t_interval(
        sums.mmd(),
        [
            jackknife_variance([sums.mmd(keep_real=mask) for mask in masks]),
            jackknife_variance([sums.mmd(keep_fake=mask) for mask in masks]),
        ],
    )


class KernelSums:
    """Sums of the kernel over all pairs of groups, ``(groups, groups)`` for each pair of sets;
    pairs of an image with itself are not in them."""

    def __init__(self, real: Tensor, fake: Tensor, *, groups: int) -> None:
        real, self.real_counts = sort_by_group(real, groups)
        fake, self.fake_counts = sort_by_group(fake, groups)
        self.real_real = block_sums(real, real, self.real_counts, self.real_counts)
        self.fake_fake = block_sums(fake, fake, self.fake_counts, self.fake_counts)
        self.real_fake = block_sums(real, fake, self.real_counts, self.fake_counts)
        self.real_real -= torch.diag(own_kernel(real, self.real_counts))
        self.fake_fake -= torch.diag(own_kernel(fake, self.fake_counts))

    def mmd(self, *, keep_real: Tensor | None = None, keep_fake: Tensor | None = None) -> float:
        """The estimate from the groups whose weight is 1 (None keeps all of them)."""
        keep_real = torch.ones(len(self.real_counts)).double() if keep_real is None else keep_real
        keep_fake = torch.ones(len(self.fake_counts)).double() if keep_fake is None else keep_fake
        n_real = float(keep_real @ self.real_counts.double())
        n_fake = float(keep_fake @ self.fake_counts.double())
        within_real = keep_real @ self.real_real @ keep_real / (n_real * (n_real - 1))
        within_fake = keep_fake @ self.fake_fake @ keep_fake / (n_fake * (n_fake - 1))
        between = keep_real @ self.real_fake @ keep_fake / (n_real * n_fake)
        return float(within_real + within_fake - 2 * between)


def sort_by_group(features: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Rows ordered by their random group, and how many rows each group has."""
    group_of = spread_groups(len(features), groups)
    return features[group_of.argsort(stable=True)], torch.bincount(group_of, minlength=groups)


def block_sums(rows: Tensor, columns: Tensor, row_counts: Tensor, column_counts: Tensor) -> Tensor:
    """Kernel summed over every (group of rows, group of columns); memory: one block."""
    sums = torch.empty(len(row_counts), len(column_counts), dtype=torch.float64)
    for i, row_block in enumerate(rows.split(row_counts.tolist())):
        for j, column_block in enumerate(columns.split(column_counts.tolist())):
            sums[i, j] = sum(kernel(part, column_block).sum() for part in row_block.split(256))
    return sums


def kernel(rows: Tensor, columns: Tensor) -> Tensor:
    """(x·y / D + 1)³ for all pairs."""
    base = (rows @ columns.T).mul_(1 / rows.shape[1]).add_(1)
    return base.square().mul_(base)


def own_kernel(features: Tensor, counts: Tensor) -> Tensor:
    """Sum over each group of the kernel of an image with itself."""
    own = (features.square().sum(1) / features.shape[1] + 1) ** 3
    return torch.stack([part.sum() for part in own.split(counts.tolist())])
