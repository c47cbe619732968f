"""Classifiers of pixels: a small convolutional network and two residual ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgen.evaluation.classifiers.base import Augment
from synthgen.evaluation.classifiers.trainer import NetworkClassifier
from synthgen.ranges import BatchSize, ClassifierWidth, Count, Depth, Positive
from synthgen.types import ImageSpec

# A small convolutional classifier, which the extractor trains too.

FEATURES = 128
SMALLEST_POOLED = 8  # a map whose shorter side has fewer pixels is not pooled any more


class SmallCNN(nn.Module):
    """3 × 3 convolutions with batch normalisation, each but the last followed by 2 × 2 pooling
    until the map is less than 8 pixels wide or high, then one hidden layer, and logits.

    Takes float images ``(N, C, H, W)`` in [-1, 1] of any size.
    """

    def __init__(self, image: ImageSpec, width: int = 16, dropout: float = 0.3) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        channels, size = image.channels, (image.height, image.width)
        while min(size) >= SMALLEST_POOLED:
            stages += [convolution(channels, width), nn.MaxPool2d(2, ceil_mode=True)]
            channels, width = width, 2 * width
            size = (-(-size[0] // 2), -(-size[1] // 2))
        self.stages = nn.Sequential(*stages, convolution(channels, width))
        self.hidden = nn.Sequential(
            nn.Linear(width * size[0] * size[1], FEATURES, bias=False),
            nn.BatchNorm1d(FEATURES),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(FEATURES, image.num_classes)

    def features(self, images: Tensor) -> Tensor:
        """The hidden layer: ``(N, 128)``, not negative."""
        return self.hidden(self.stages(images).flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.dropout(self.features(images)))


def convolution(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class SmallCNNClassifier(NetworkClassifier):
    """The :class:`SmallCNN`: seconds per training on one core, 99.4 % on MNIST.

    Args:
        steps: optimizer steps, equal for all arms; None chooses by the number of real training
            images.
        width: channels of the first convolution; later ones double it.
        augment: of the training batches of every arm without an augmentation of its own.
    """

    name = "small_cnn"

    def __init__(
        self,
        steps: Count | None = None,
        batch_size: BatchSize = 128,
        learning_rate: Positive = 3e-3,
        width: ClassifierWidth = 16,
        augment: Augment | None = None,
    ) -> None:
        super().__init__(steps, batch_size, learning_rate, augment)
        self.width = width

    def network(self, image: ImageSpec) -> nn.Module:
        return SmallCNN(image, self.width)

    def architecture(self) -> str:
        return (
            f"3x3 convolutions from {self.width} channels on, doubled at each pooling; "
            f"{FEATURES} hidden units"
        )


# ResNet-18 with the stem for small images.


class ResNet18Classifier(NetworkClassifier):
    """The network of He et al. 2016, table 1, whose first convolution is 3 × 3 with stride 1 and
    which has no max pooling, as is usual for 32 × 32 pixels. For a GPU: minutes per training there,
    about a second per step of 128 images of 32 × 32 pixels on a CPU core.

    Args:
        steps: optimizer steps, equal for all arms; None chooses by the number of real training
            images.
        augment: of the training batches of every arm without an augmentation of its own.
    """

    name = "resnet18"

    def __init__(
        self,
        steps: Count | None = None,
        batch_size: BatchSize = 128,
        learning_rate: Positive = 2e-3,
        augment: Augment | None = None,
    ) -> None:
        super().__init__(steps, batch_size, learning_rate, augment)

    def network(self, image: ImageSpec) -> nn.Module:
        from torchvision.models import resnet18  # slow to import

        network = resnet18(num_classes=image.num_classes)
        network.conv1 = nn.Conv2d(image.channels, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
        return network

    def architecture(self) -> str:
        return "ResNet-18, first convolution 3x3 with stride 1, no max pooling"


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


class ResNet56Classifier(NetworkClassifier):
    """55 convolutions, 0.86 million parameters at 32 × 32 pixels. For a GPU.

    Args:
        steps: optimizer steps, equal for all arms; None chooses by the number of real training
            images.
        depth: 6n + 2: 20, 32, 44, 56, 110.
        augment: of the training batches of every arm without an augmentation of its own.

    The thin, deep residual networks of He et al. 2016, section 4.2, for small images.
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
