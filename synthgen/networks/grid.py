"""Encoder and decoder whose latents are a small grid, as in the first stage of latent models
(Rombach et al. 2022, section 3.1; Esser et al. 2021, section 3.1). Made of R3GAN's blocks, without
normalisation."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.networks.base import Encoder, Generator
from synthgen.networks.blocks import GAIN, SLOPE, crop_to, downsample, pad_to, scaled_, upsample
from synthgen.networks.r3gan import Change, residual_blocks
from synthgen.ranges import Depth, DepthOrNone, Side, Width
from synthgen.types import ImageSpec


class Grid:
    """Shape of the latents, and the widths of the stages from them to full resolution."""

    def __init__(
        self, image: ImageSpec, factor: int, patch: int, width: int, max_width: int
    ) -> None:
        halvings = int(math.log2(factor)) if factor > 0 else 0
        if factor < 2 or 2**halvings != factor or patch < 1 or factor % patch:
            raise ValueError(
                f"factor must be a power of 2 and a multiple of patch, got {factor} and {patch}"
            )
        if factor >= 2 * max(image.height, image.width):
            raise ValueError(
                f"factor {factor} is more than images of {image.height} x {image.width} have"
            )
        self.height, self.width = math.ceil(image.height / factor), math.ceil(image.width / factor)
        self.full = (self.height * factor, self.width * factor)
        doublings = int(math.log2(factor // patch))
        self.widths = [min(width * 2**level, max_width) for level in range(doublings, -1, -1)]

    def stages(
        self, widths: list[int], blocks: int, expansion: int, group_size: int | None
    ) -> nn.ModuleList:
        total, before, found = max(1, blocks * len(widths)), widths[0], nn.ModuleList()
        for channels in widths:
            inner = residual_blocks(channels, blocks, expansion, group_size, total)
            found.append(nn.Sequential(Change(before, channels), *inner))
            before = channels
        return found


class GridEncoder(Encoder):
    """Images and labels to the mean and log-variance of each latent of a grid, flattened from
    ``(channels, height / factor, width / factor)`` (Rombach et al. 2022, section 3.1).

    Args:
        image: shape and classes of the images.
        channels: latents per position of the grid.
        factor: pixels per position, in height and in width; a power of 2.
        patch: side of the square of pixels that is one position of the first stage.
        width: channels of the first stage; doubles with every halving, up to ``max_width``.
        blocks: residual blocks per stage.
        expansion: inner channels of a block relative to its width.
        group_size: channels per group of the 3x3 convolutions; None = one group.
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        channels: Width = 4,
        factor: Side = 8,
        patch: Side = 1,
        width: Width = 128,
        max_width: Width = 512,
        blocks: DepthOrNone = 2,
        expansion: Depth = 1,
        group_size: Width | None = None,
    ) -> None:
        super().__init__()
        grid = Grid(image, factor, patch, width, max_width)
        widths = grid.widths[::-1]
        self.image, self.patch, self.full = image, patch, grid.full
        self.z_dim = channels * grid.height * grid.width
        self.from_image = scaled_(nn.Conv2d(image.channels * patch**2, widths[0], 3, 1, 1), GAIN)
        self.stages = grid.stages(widths, blocks, expansion, group_size)
        self.embedding = nn.Embedding(image.num_classes, widths[-1])
        self.mean = scaled_(nn.Conv2d(widths[-1], channels, 1))
        self.logvar = scaled_(nn.Conv2d(widths[-1], channels, 1), 0.1)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """float ``(N, C, H, W)``, int64 ``(N,)`` -> mean and log-variance, float32 ``(N, Z)``."""
        x = F.pixel_unshuffle(pad_to(images, *self.full), self.patch)
        x = F.leaky_relu(self.from_image(x), SLOPE)
        for level, stage in enumerate(self.stages):
            x = stage(downsample(x) if level else x)
        x = F.leaky_relu(x + self.embedding(labels)[:, :, None, None].to(x.dtype), SLOPE)
        return self.mean(x).float().flatten(1), self.logvar(x).float().flatten(1)


class GridDecoder(Generator):
    """A flattened grid of latents and labels to images (Rombach et al. 2022, section 3.1).
    Arguments as in GridEncoder, and one more.

    Args:
        out_channels: numbers per pixel that a likelihood needs; None = the channels of an image.
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        channels: Width = 4,
        factor: Side = 8,
        patch: Side = 1,
        width: Width = 128,
        max_width: Width = 512,
        blocks: DepthOrNone = 2,
        expansion: Depth = 1,
        group_size: Width | None = None,
        out_channels: Width | None = None,
    ) -> None:
        super().__init__()
        grid = Grid(image, factor, patch, width, max_width)
        self.image, self.patch = image, patch
        self.out_channels = out_channels or image.channels
        self.grid = (channels, grid.height, grid.width)
        self.z_dim = math.prod(self.grid)
        self.from_latents = scaled_(nn.Conv2d(channels, grid.widths[0], 3, 1, 1))
        self.embedding = nn.Embedding(image.num_classes, grid.widths[0])
        self.stages = grid.stages(grid.widths, blocks, expansion, group_size)
        self.to_image = scaled_(
            nn.Conv2d(grid.widths[-1], self.out_channels * patch**2, 3, 1, 1), 0.5
        )

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, z_dim)``, int64 ``(N,)`` -> float ``(N, C, H, W)``, nominally [-1, 1]."""
        x = self.from_latents(z.view(len(z), *self.grid))
        x = x + self.embedding(labels)[:, :, None, None].to(x.dtype)
        for level, stage in enumerate(self.stages):
            x = stage(upsample(x) if level else x)
        x = F.pixel_shuffle(self.to_image(F.leaky_relu(x, SLOPE)), self.patch)
        return crop_to(x, self.image.height, self.image.width)
