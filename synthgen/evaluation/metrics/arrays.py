"""What all metrics accept: one row of numbers per image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def as_features(values: Any, *, name: str, at_least: int = 2) -> Tensor:
    """NumPy or torch ``(N, D)`` -> float64 on the CPU. Raises ValueError for another shape, for
    fewer than ``at_least`` rows and for numbers that are not finite."""
    features = torch.as_tensor(values).detach().to("cpu", torch.float64)
    if features.ndim != 2:
        raise ValueError(f"{name} must be (images, features), got {tuple(features.shape)}")
    if len(features) < at_least:
        raise ValueError(f"{name} must hold at least {at_least} images, got {len(features)}")
    if not torch.isfinite(features).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return features


def as_pair(real: Any, fake: Any, *, at_least: int = 2) -> tuple[Tensor, Tensor]:
    """Both sets checked, and checked to lie in one space."""
    real = as_features(real, name="real", at_least=at_least)
    fake = as_features(fake, name="fake", at_least=at_least)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f"real has {real.shape[1]} features per image, fake {fake.shape[1]}")
    return real, fake


def spread_groups(count: int, groups: int) -> Tensor:
    """Group number of each of ``count`` rows: a fixed random assignment to groups of equal size
    (±1), so that sorted input (all of class 0 first) does not make unequal groups."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    assignment = torch.empty(count, dtype=torch.int64)
    assignment[order] = torch.arange(count) % groups
    return assignment
