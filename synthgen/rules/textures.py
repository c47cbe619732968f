"""Smooth random fields."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.rules.randomness import ImageRandom


def smooth_noise(random: ImageRandom, height: int, width: int, cells: tuple[int, ...]) -> Tensor:
    """float32 ``(N, H, W)`` in [0, 1): value noise, random grids of ``cells`` by ``cells`` knots
    enlarged bilinearly, each octave half as strong as the one before."""
    total = torch.zeros(len(random), height, width)
    weight, weights = 1.0, 0.0
    for count in cells:
        knots = random.uniform(count * count).view(-1, count, count)
        total += weight * _enlarged(_enlarged(knots, height, 1), width, 2)
        weights, weight = weights + weight, weight / 2
    return total / weights


def _enlarged(field: Tensor, size: int, dimension: int) -> Tensor:
    """Linear interpolation along one dimension, from the first knot to the last. By plain products,
    whose rounding is the same in every batch, which a library's kernel doesn't promise."""
    position = torch.linspace(0, field.shape[dimension] - 1, size)
    lower = position.long().clamp_max(field.shape[dimension] - 2)
    share = (position - lower).view(-1, 1) if dimension == 1 else position - lower
    below = field.index_select(dimension, lower)
    above = field.index_select(dimension, lower + 1)
    return below + (above - below) * share
