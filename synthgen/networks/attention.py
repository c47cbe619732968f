"""Self-attention over the positions of a feature map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Every position looks at all others (SAGAN, Zhang et al. 2019, eqs. 1-3), with keys and values
    at half the resolution as in BigGAN. Its share starts at zero.

    Written out rather than fused, because gradient penalties differentiate it twice, and torch's
    fused kernel for CPUs has no second derivative (torch 2.14).

    Args:
        channels: of the feature map, at least 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 8:
            raise ValueError(f"self-attention needs at least 8 channels, got {channels}")
        inner, values = channels // 8, channels // 2
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, values, 1, bias=False)
        self.output = nn.Conv2d(values, channels, 1, bias=False)
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> the same
        height, width = x.shape[2:]
        query = self.query(x).flatten(2)  # (N, C/8, HW)
        key = _halved(self.key(x)).flatten(2)  # (N, C/8, HW/4)
        value = _halved(self.value(x)).flatten(2)  # (N, C/2, HW/4)
        weights = torch.bmm(query.transpose(1, 2), key).float().softmax(dim=2)
        seen = torch.bmm(value, weights.to(value.dtype).transpose(1, 2))  # (N, C/2, HW)
        seen = seen.unflatten(2, (height, width)).contiguous(memory_format=torch.channels_last)
        return torch.add(x, self.output(seen) * self.share.to(x.dtype))


def _halved(x: Tensor) -> Tensor:
    """Maxima of 2x2 positions; odd sides keep their last row and column."""
    return F.max_pool2d(x, 2, ceil_mode=True)
