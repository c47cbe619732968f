"""Exponential moving average of a network's weights, with its half-life in images."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class EMA(nn.Module, Generic[Network]):
    """Keeps ``average``, a slowly following copy of ``network``.

    The half-life grows with the run, ``min(half_life, ramp * images_seen)``, so that short runs
    aren't dominated by their first, random weights (Karras et al. 2020, training details).
    Parameters are averaged; buffers are copied.
    """

    def __init__(self, network: Network, half_life: int, ramp: float = 0.05) -> None:
        super().__init__()
        self.average: Network = copy.deepcopy(network).requires_grad_(False)
        self.half_life, self.ramp = half_life, ramp

    @torch.no_grad()
    def update(self, network: Network, batch: int, images_seen: int) -> None:
        """Move the average towards ``network`` after ``batch`` more images."""
        half_life = min(self.half_life, self.ramp * images_seen)
        keep = 0.5 ** (batch / half_life) if half_life > 0 else 0.0
        torch._foreach_lerp_(list(self.average.parameters()), list(network.parameters()), 1 - keep)
        for mine, theirs in zip(self.average.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)
