"""The thin, deep residual networks of He et al. 2016, section 4.2, for small images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgen.evaluation.judges.base import Augment
from synthgen.evaluation.judges.network import NetworkJudge
from synthgen.ranges import BatchSize, Count, Depth, Positive
from synthgen.types import ImageSpec

WIDTHS = (16, 32, 64)


class Block(nn.Module):
    """Two 3 × 3 convolutions beside an identity; where the block halves the map, the identity skips
    every other pixel and new channels are 0 (option A), so it has no parameters."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.added = stride, outputs - inputs
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        identity = F.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        return torch.relu(self.residual(x) + identity)


class CifarResNet(nn.Module):
    """Float images ``(N, C, H, W)`` in [-1, 1] -> logits ``(N, K)``; ``depth`` is 6n + 2."""

    def __init__(self, image: ImageSpec, depth: int = 56) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if blocks < 1 or rest:
            raise ValueError(f"depth must be 8, 14, 20, … 56 (6n + 2), got {depth}")
        layers: list[nn.Module] = [
            nn.Conv2d(image.channels, WIDTHS[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(),
        ]
        inputs = WIDTHS[0]
        for width in WIDTHS:
            for _ in range(blocks):
                layers.append(Block(inputs, width, stride=width // inputs))
                inputs = width
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.logits = nn.Linear(inputs, image.num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.layers(images))


class ResNet56Judge(NetworkJudge):
    """55 convolutions, 0.86 million parameters at 32 × 32 pixels. For a GPU.

    Args:
        steps: optimizer steps, equal for all arms; None chooses by the number of real training
            images.
        depth: 6n + 2: 20, 32, 44, 56, 110.
        augment: of the training batches of every arm without an augmentation of its own.
    """

    name = "resnet56"

    def __init__(
        self,
        steps: Count | None = None,
        batch_size: BatchSize = 128,
        learning_rate: Positive = 3e-3,
        depth: Depth = 56,
        augment: Augment | None = None,
    ) -> None:
        super().__init__(steps, batch_size, learning_rate, augment)
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth must be 8, 14, 20, … 56 (6n + 2), got {depth}")
        self.depth = depth
        self.name = f"resnet{depth}"

    def network(self, image: ImageSpec) -> nn.Module:
        return CifarResNet(image, self.depth)

    def architecture(self) -> str:
        return f"ResNet-{self.depth} in the form for CIFAR, identity shortcuts"
