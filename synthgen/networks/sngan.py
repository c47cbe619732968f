"""Residual generator and discriminator of SNGAN with projection (Miyato et al. 2018; Miyato &
Koyama 2018), for any size from 8 to 256 pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.networks.base import Discriminator, Generator
from synthgen.networks.blocks import (
    ConditionalBatchNorm,
    Head,
    Projection,
    crop_to,
    downsample,
    pad_to,
)
from synthgen.networks.r3gan import Pyramid
from synthgen.networks.spectral import normalise_spectrum
from synthgen.ranges import DepthOrNone, Side, Size, Width
from synthgen.types import ImageSpec

GAIN = math.sqrt(2)


class SNGenerator(Generator):
    """Residual blocks with class-conditional batch norm (Miyato & Koyama 2018, appendix A, figure
    14; sizes of Miyato et al. 2018, table 4).

    Args:
        image: shape and classes of the images to make.
        z_dim: length of a latent vector.
        width: channels of the last block; doubles with every halving, up to ``max_width``.
    """

    def __init__(
        self, image: ImageSpec, *, z_dim: Size = 128, width: Width = 256, max_width: Width = 256
    ) -> None:
        super().__init__()
        self.image, self.z_dim = image, z_dim
        shape = Pyramid(image, 1, width, max_width, blocks=1, last_blocks=1)
        if len(shape.widths) < 2:
            raise ValueError(f"an SNGAN needs images of at least 8 pixels, not {image.shape}")
        self.base, self.first_width = shape.base, shape.widths[0]
        positions = self.base[0] * self.base[1]
        self.project = glorot_(nn.Linear(z_dim, self.first_width * positions))
        self.blocks = nn.ModuleList(
            UpBlock(before, after, image.num_classes) for before, after in pairwise(shape.widths)
        )
        self.normalise = nn.BatchNorm2d(shape.widths[-1])
        self.to_image = glorot_(nn.Conv2d(shape.widths[-1], image.channels, 3, padding=1))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, z_dim)``, int64 ``(N,)`` -> float ``(N, C, H, W)`` in [-1, 1]."""
        x = self.project(z).view(len(z), self.first_width, *self.base)
        x = x.to(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x, labels)
        x = torch.tanh(self.to_image(F.relu(self.normalise(x))))
        return crop_to(x, self.image.height, self.image.width)


class UpBlock(nn.Module):
    """Norm, ReLU, doubling, convolution, norm, ReLU, convolution, added to the doubled input."""

    def __init__(self, before: int, after: int, num_classes: int) -> None:
        super().__init__()
        self.first_norm = ConditionalBatchNorm(before, num_classes)
        self.first = glorot_(nn.Conv2d(before, after, 3, padding=1), GAIN)
        self.second_norm = ConditionalBatchNorm(after, num_classes)
        self.second = glorot_(nn.Conv2d(after, after, 3, padding=1), GAIN)
        self.shortcut = glorot_(nn.Conv2d(before, after, 1))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        h = self.first(repeat(F.relu(self.first_norm(x, labels))))
        h = self.second(F.relu(self.second_norm(h, labels)))
        return h + repeat(self.shortcut(x))  # the same as after doubling, at a quarter of the cost


class SNDiscriminator(Discriminator):
    """Residual blocks with spectral norm, summed over all positions (Miyato & Koyama 2018, appendix
    A, figure 14; sizes of Miyato et al. 2018, table 4). No batch norm.

    Args:
        image: shape and classes of the images.
        width: channels of the first block; doubles with every halving, up to ``max_width``.
        smallest: side (the longer one) below which maps are not halved; 8 is published for 32
            pixels, 4 for 128.
        last_blocks: blocks at the smallest size.
        head: what makes logits of the features: called with (their length, number of classes).
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        width: Width = 128,
        max_width: Width = 128,
        smallest: Side = 8,
        last_blocks: DepthOrNone = 2,
        head: Callable[[int, int], Head] = Projection,
    ) -> None:
        super().__init__()
        self.image = image
        halvings = max(1, math.floor(math.log2(max(image.height, image.width) / smallest)))
        self.scale = 2**halvings
        widths = [min(width * 2**level, max_width) for level in range(halvings)]
        self.blocks = nn.Sequential(
            FirstDownBlock(image.channels, widths[0]),
            *[DownBlock(before, after) for before, after in pairwise(widths)],
            *[PlainBlock(widths[-1]) for _ in range(last_blocks)],
        )
        self.feature_dim = widths[-1]
        self.head = head(self.feature_dim, image.num_classes)
        normalise_spectrum(self)

    def features(self, images: Tensor) -> Tensor:
        full = [math.ceil(side / self.scale) * self.scale for side in images.shape[2:]]
        x = pad_to(images, *full).contiguous(memory_format=torch.channels_last)
        return F.relu(self.blocks(x)).float().sum(dim=(2, 3))

    def logits(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.head(features, labels)


class FirstDownBlock(nn.Module):
    """Convolution, ReLU, convolution, halving; without a ReLU on the image itself."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = glorot_(nn.Conv2d(channels, width, 3, padding=1), GAIN)
        self.second = glorot_(nn.Conv2d(width, width, 3, padding=1), GAIN)
        self.shortcut = glorot_(nn.Conv2d(channels, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(F.relu(self.first(x)))
        return downsample(h) + self.shortcut(downsample(x))


class DownBlock(nn.Module):
    """ReLU, convolution, ReLU, convolution, halving, added to the halved input."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = glorot_(nn.Conv2d(before, before, 3, padding=1), GAIN)
        self.second = glorot_(nn.Conv2d(before, after, 3, padding=1), GAIN)
        self.shortcut = glorot_(nn.Conv2d(before, after, 1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(F.relu(self.first(F.relu(x))))
        return downsample(h) + self.shortcut(downsample(x))


class PlainBlock(nn.Module):
    """ReLU, convolution, ReLU, convolution, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = glorot_(nn.Conv2d(width, width, 3, padding=1), GAIN)
        self.second = glorot_(nn.Conv2d(width, width, 3, padding=1), GAIN)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


def repeat(x: Tensor) -> Tensor:
    """Twice the height and width, each value four times."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def glorot_(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Conv2d | nn.Linear:
    """Weights as in Glorot & Bengio (2010, eq. 16) times ``gain``, bias zero; returns ``layer``."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
