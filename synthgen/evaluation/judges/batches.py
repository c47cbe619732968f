"""Which images a classifier sees at which step. Pure functions of the seed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

DATA, PRETRAIN, AUGMENT, MIX = 1, 2, 3, 4  # streams of a training's randomness, beside its seed


def batches(
    count: int, batch_size: int, weights: Tensor | None, generator: torch.Generator
) -> Iterator[Tensor]:
    """Endless batches of exactly ``batch_size`` positions below ``count``, int64: reshuffled passes
    or, with float ``weights`` ``(count,)``, independent draws in their proportion."""
    if weights is None:
        return shuffled_batches(count, batch_size, generator)
    return weighted_batches(weights, batch_size, generator)


def shuffled_batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of exactly ``batch_size`` positions. They are cut from one reshuffled pass
    after another, so no image is ever seen two times more often than another."""
    pending = torch.empty(0, dtype=torch.int64)
    while True:
        while len(pending) < batch_size:
            pending = torch.cat([pending, torch.randperm(count, generator=generator)])
        batch, pending = pending[:batch_size], pending[batch_size:]
        yield batch


def weighted_batches(
    weights: Tensor, batch_size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Endless batches drawn with replacement; position ``i`` with probability ``weights[i]`` / sum.

    By inversion of the cumulative sum, for any number of images (``torch.multinomial`` ends at
    2²⁴). Raises ValueError for weights that are negative, not finite, or all 0.
    """
    cumulative = weights.double().cumsum(0)
    if not bool(torch.isfinite(cumulative[-1]) & (cumulative[-1] > 0) & (weights >= 0).all()):
        raise ValueError("sampling weights must be finite, not negative, and not all 0")
    last = int(weights.nonzero().max())  # rounding must not reach an image of weight 0
    while True:
        drawn = torch.rand(batch_size, generator=generator, dtype=torch.float64) * cumulative[-1]
        yield torch.searchsorted(cumulative, drawn, right=True).clamp_max(last)
