"""Encoder and decoder of a VQ-VAE: images to a small grid of vectors and back (van den Oord et al.
2017, section 4.1)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.networks.blocks import crop_to, pad_to
from synthgen.ranges import DepthOrNone, Side, Size, Width
from synthgen.spec import Rebuildable
from synthgen.types import ImageSpec


def code_grid(image: ImageSpec, largest_grid: int) -> tuple[int, tuple[int, int]]:
    """How often to halve an image (once at least), and the grid (height, width) that results: no
    side longer than ``largest_grid``, so that the codes of large images stay few."""
    if largest_grid < 1:
        raise ValueError(f"largest_grid must be at least 1, got {largest_grid}")
    longest = max(image.height, image.width)
    halvings = max(1, math.ceil(math.log2(longest / largest_grid)))
    return halvings, (
        math.ceil(image.height / 2**halvings),
        math.ceil(image.width / 2**halvings),
    )


class CodeBlock(nn.Module):
    """ReLU, 3x3 convolution, ReLU, 1x1 convolution, added to the input (section 4.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(F.relu(self.mix(F.relu(x))))


class VQEncoder(nn.Module, Rebuildable):
    """Images to a grid of vectors: strided 4x4 convolutions, then residual blocks (van den Oord et
    al. 2017, section 4.1).

    Args:
        image: shape of the images.
        code_dim: length of a vector, D.
        width: hidden units, the same at every resolution.
        blocks: residual blocks.
        largest_grid: the longest side that the grid may have; 32 pixels become 8, 28 become 7.
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        code_dim: Size = 64,
        width: Width = 256,
        blocks: DepthOrNone = 2,
        largest_grid: Side = 8,
    ) -> None:
        super().__init__()
        self.image, self.code_dim = image, code_dim
        halvings, self.grid = code_grid(image, largest_grid)
        self.full = (self.grid[0] * 2**halvings, self.grid[1] * 2**halvings)
        before = image.channels
        layers: list[nn.Module] = []
        for _ in range(halvings):
            layers += [nn.Conv2d(before, width, 4, stride=2, padding=1), nn.ReLU()]
            before = width
        layers += [nn.Conv2d(width, width, 3, padding=1)]
        layers += [CodeBlock(width) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(width, code_dim, 1))
        self._initialise()

    def _initialise(self) -> None:
        """He et al. (2015, eq. 10), so that vectors start apart. With torch's own start they lie
        within 0.01 of each other: few codes tell them apart, and for many steps none is learned."""
        for layer in self.layers.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for layer in self.layers:
            if isinstance(layer, CodeBlock):  # starts as the identity
                nn.init.zeros_(layer.project.weight)

    def forward(self, images: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` in [-1, 1] -> float32 ``(N, D, *grid)``."""
        padded = pad_to(images, *self.full).contiguous(memory_format=torch.channels_last)
        return self.layers(padded).float()


class VQDecoder(nn.Module, Rebuildable):
    """A grid of vectors to an image: residual blocks, then transposed 4x4 convolutions (van den
    Oord et al. 2017, section 4.1). Arguments as in VQEncoder."""

    def __init__(
        self,
        image: ImageSpec,
        *,
        code_dim: Size = 64,
        width: Width = 256,
        blocks: DepthOrNone = 2,
        largest_grid: Side = 8,
    ) -> None:
        super().__init__()
        self.image, self.code_dim = image, code_dim
        halvings, self.grid = code_grid(image, largest_grid)
        layers: list[nn.Module] = [nn.Conv2d(code_dim, width, 3, padding=1)]
        layers += [CodeBlock(width) for _ in range(blocks)]
        for level in range(halvings):
            after = image.channels if level == halvings - 1 else width
            layers += [nn.ReLU(), nn.ConvTranspose2d(width, after, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, grid: Tensor) -> Tensor:
        """float32 ``(N, D, *grid)`` -> float ``(N, C, H, W)``, nominally [-1, 1]."""
        images = self.layers(grid.contiguous(memory_format=torch.channels_last))
        return crop_to(images, self.image.height, self.image.width)
