"""What all metrics accept: one row of numbers per image."""

from __future__ import annotations

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
