"""Generator and discriminator after R3GAN (Huang et al. 2024, "The GAN is dead; long live the
GAN!"), for any size from 8 to 256 pixels. No normalisation layers, so the same image comes out
whatever else is in the batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.networks.base import Discriminator, Encoder, Generator
from synthgen.networks.blocks import (
    GAIN,
    SLOPE,
    Head,
    InnerProduct,
    ResidualBlock,
    class_embedding,
    crop_to,
    downsample,
    pad_to,
    scaled_,
    stages,
    upsample,
)
from synthgen.ranges import Depth, DepthOrNone, Side, Size, Width
from synthgen.types import ImageSpec


class Pyramid:
    """Sizes, widths and block counts of the stages, from the base to full resolution.

    Width doubles with every halving of the resolution up to ``max_width``; the last stage, where
    a block costs most, has its own number of blocks.
    """

    def __init__(
        self,
        image: ImageSpec,
        patch: int,
        width: int,
        max_width: int,
        blocks: int,
        last_blocks: int,
    ) -> None:
        if patch > 2 and (image.height % patch or image.width % patch):
            raise ValueError(  # 2 leaves a row over at most, which is padded
                f"patch {patch} does not divide images of {image.height} x {image.width}"
            )
        height, columns = math.ceil(image.height / patch), math.ceil(image.width / patch)
        doublings, _ = stages(max(height, columns))
        self.base = (math.ceil(height / 2**doublings), math.ceil(columns / 2**doublings))
        scale = patch * 2**doublings
        self.full = (self.base[0] * scale, self.base[1] * scale)
        self.widths = [min(width * 2**level, max_width) for level in range(doublings, -1, -1)]
        self.blocks = [blocks] * doublings + [last_blocks]

    def stages(self, expansion: int, group_size: int | None, order: int = 1) -> nn.ModuleList:
        """A stage per resolution, each a change to its width and its residual blocks; ``order`` 1
        goes up from the base, -1 down to it."""
        total, found = max(1, sum(self.blocks)), nn.ModuleList()
        before = self.widths[::order][0]
        for width, count in zip(self.widths[::order], self.blocks[::order], strict=True):
            change = Change(before, width)
            inner = residual_blocks(width, count, expansion, group_size, total)
            found.append(nn.Sequential(change, *inner))
            before = width
        return found


class R3Generator(Generator):
    """Latents and labels to images.

    Args:
        image: shape and classes of the images to make.
        z_dim: length of a latent vector.
        patch: side of the square of pixels that is one position of the last stage (pixel shuffle).
            2 spares the costly stage at full resolution; 1 is the published network.
        width: channels of the last stage; doubles with every halving, up to ``max_width``.
        blocks: residual blocks per stage; ``last_blocks`` in the last stage.
        expansion: inner channels of a block relative to its width.
        group_size: channels per group of the 3x3 convolutions; None = one group.
        embedding_dim: length of the class embedding that is appended to the latents.
        out_channels: numbers per pixel, where a likelihood needs others than the image has
            channels.
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        z_dim: Size = 64,
        patch: Side = 1,
        width: Width = 32,
        max_width: Width = 128,
        blocks: DepthOrNone = 1,
        last_blocks: DepthOrNone = 1,
        expansion: Depth = 2,
        group_size: Width | None = 16,
        embedding_dim: Size = 64,
        out_channels: Width | None = None,
    ) -> None:
        super().__init__()
        self.image, self.z_dim, self.patch = image, z_dim, patch
        self.out_channels = out_channels or image.channels
        shape = Pyramid(image, patch, width, max_width, blocks, last_blocks)
        self.base, self.first_width = shape.base, shape.widths[0]
        self.embedding = class_embedding(image.num_classes, embedding_dim)
        base_size = self.base[0] * self.base[1]
        self.project = scaled_(nn.Linear(z_dim + embedding_dim, self.first_width * base_size))
        self.stages = shape.stages(expansion, group_size)
        self.to_image = scaled_(
            nn.Conv2d(shape.widths[-1], self.out_channels * patch**2, 3, padding=1), 0.5
        )

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, z_dim)``, int64 ``(N,)`` -> float ``(N, C, H, W)``, nominally [-1, 1]."""
        x = self.project(torch.cat([z, self.embedding(labels).to(z.dtype)], dim=1))
        x = x.view(len(z), self.first_width, *self.base).to(memory_format=torch.channels_last)
        for level, stage in enumerate(self.stages):
            x = stage(upsample(x) if level else x)
        x = F.pixel_shuffle(self.to_image(F.leaky_relu(x, SLOPE)), self.patch)
        return crop_to(x, self.image.height, self.image.width)


class Downward(nn.Module):
    """Images to feature maps, the last ``(N, widths[0], *base)``; the mirror of R3Generator."""

    def __init__(
        self,
        image: ImageSpec,
        *,
        patch: int,
        width: int,
        max_width: int,
        blocks: int,
        last_blocks: int,
        expansion: int,
        group_size: int | None,
    ) -> None:
        super().__init__()
        shape = Pyramid(image, patch, width, max_width, blocks, last_blocks)
        self.patch, self.full, self.base = patch, shape.full, shape.base
        self.widths = shape.widths
        self.from_image = scaled_(
            nn.Conv2d(image.channels * patch**2, shape.widths[-1], 3, padding=1), GAIN
        )
        self.stages = shape.stages(expansion, group_size, -1)

    def forward(self, images: Tensor) -> list[Tensor]:
        """float ``(N, C, H, W)`` in [-1, 1] -> one ``(N, width, h, w)`` per stage, finest first."""
        x = F.pixel_unshuffle(pad_to(images, *self.full), self.patch)
        x = F.leaky_relu(self.from_image(x.contiguous(memory_format=torch.channels_last)), SLOPE)
        found = []
        for level, stage in enumerate(self.stages):
            x = stage(downsample(x) if level else x)
            found.append(x)
        return found


class R3Discriminator(Discriminator):
    """Images and labels to one logit each (Huang et al. 2024, section 3.4). Arguments as in
    R3Generator, but for two.

    Args:
        embedding_dim: length of the features.
        head: what makes logits of the features: called with (their length, number of classes).
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        patch: Side = 1,
        width: Width = 32,
        max_width: Width = 128,
        blocks: DepthOrNone = 1,
        last_blocks: DepthOrNone = 1,
        expansion: Depth = 2,
        group_size: Width | None = 16,
        embedding_dim: Size = 128,
        head: Callable[[int, int], Head] = InnerProduct,
    ) -> None:
        super().__init__()
        self.image, self.feature_dim = image, embedding_dim
        self.down = Downward(
            image,
            patch=patch,
            width=width,
            max_width=max_width,
            blocks=blocks,
            last_blocks=last_blocks,
            expansion=expansion,
            group_size=group_size,
        )
        last = self.down.widths[0]
        self.collapse = scaled_(nn.Conv2d(last, last, self.down.base, groups=last, bias=False))
        self.to_features = scaled_(nn.Linear(last, embedding_dim, bias=False))
        self.head = head(embedding_dim, image.num_classes)

    def features(self, images: Tensor) -> Tensor:
        return self.to_features(self.collapse(self.down(images)[-1]).flatten(1)).float()

    def logits(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.head(features, labels)


class R3Encoder(Encoder):
    """Images and labels to the mean and log-variance of a Gaussian over latents: the encoder of a
    VAE with the discriminator's layers. Arguments as in R3Generator."""

    def __init__(
        self,
        image: ImageSpec,
        *,
        z_dim: Size = 64,
        patch: Side = 1,
        width: Width = 32,
        max_width: Width = 128,
        blocks: DepthOrNone = 1,
        last_blocks: DepthOrNone = 1,
        expansion: Depth = 2,
        group_size: Width | None = 16,
        embedding_dim: Size = 64,
    ) -> None:
        super().__init__()
        self.image, self.z_dim = image, z_dim
        self.down = Downward(
            image,
            patch=patch,
            width=width,
            max_width=max_width,
            blocks=blocks,
            last_blocks=last_blocks,
            expansion=expansion,
            group_size=group_size,
        )
        flat = self.down.widths[0] * self.down.base[0] * self.down.base[1]
        self.embedding = nn.Embedding(image.num_classes, embedding_dim)
        self.mean = scaled_(nn.Linear(flat + embedding_dim, z_dim))
        self.logvar = scaled_(nn.Linear(flat + embedding_dim, z_dim), 0.1)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """float ``(N, C, H, W)``, int64 ``(N,)`` -> mean and log-variance, float32 ``(N, Z)``."""
        features = self.down(images)[-1].flatten(1)
        features = torch.cat([features, self.embedding(labels).to(features.dtype)], dim=1)
        return self.mean(features).float(), self.logvar(features).float()


def residual_blocks(
    width: int, count: int, expansion: int, group_size: int | None, total: int
) -> list[nn.Module]:
    """``count`` blocks of a network that has ``total`` of them."""
    return [
        ResidualBlock(width, expansion=expansion, group_size=group_size, blocks=total)
        for _ in range(count)
    ]


class Change(nn.Module):
    """A 1x1 convolution where the width changes, nothing where it doesn't."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolve: nn.Module = (
            nn.Identity() if before == after else scaled_(nn.Conv2d(before, after, 1, bias=False))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(x)
