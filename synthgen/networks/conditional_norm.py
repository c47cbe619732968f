"""Batch normalisation whose gain and bias belong to a class."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a gain and a bias per class and channel (Dumoulin et al. 2017, eq. 5, as in
    Miyato & Koyama 2018, section 5). They begin as 1 and 0."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(num_classes, channels)
        self.bias = nn.Embedding(num_classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # (N, C, H, W), (N,) -> (N, C, H, W)
        gain, bias = self.gain(labels).to(x.dtype), self.bias(labels).to(x.dtype)
        return torch.addcmul(bias[:, :, None, None], self.normalise(x), gain[:, :, None, None])
