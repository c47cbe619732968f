"""Generator and discriminator after StyleGAN2 (Karras et al. 2020, "Analyzing and improving the
image quality of StyleGAN") in plain PyTorch, for any size from 8 to 256 pixels.

Left out: noise inputs, because an image must be a function of its own latents and label; mixing of
styles and path-length regularisation, as in StyleGAN2-ADA's configuration for CIFAR-10; truncation,
which costs a training set its rare images; a mapping network of labels in the discriminator.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.errors import SynthgenError
from synthgen.networks.base import Discriminator, Generator
from synthgen.networks.blocks import crop_to, pad_to, upsample
from synthgen.networks.equalised import (
    Activated,
    EqualConv,
    EqualConvDown,
    EqualConvUp,
    EqualLinear,
    Modulated,
    ToImage,
    activated,
    unit,
)
from synthgen.networks.r3gan import Pyramid
from synthgen.networks.spectral import without_autocast
from synthgen.processes import Processes
from synthgen.ranges import BatchSize, Depth, Side, Size, Width
from synthgen.types import ImageSpec


class StyleGAN2Generator(Generator):
    """Latents and labels to images (Karras et al. 2020, sections 2 and 4.1): a mapping to styles,
    which scale the channels of every convolution; each resolution adds its share to the image.

    Args:
        image: shape and classes of the images to make.
        z_dim: length of a latent vector.
        w_dim: length of a style, and of the class embedding.
        mapping_layers: of the network from latents to styles.
        patch: side of the square of pixels that is one position of the last stage (pixel shuffle);
            1 is the published network, 2 spares the costly stage at full resolution.
        width: channels of the last stage; doubles with every halving, up to ``max_width``.
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        z_dim: Size = 512,
        w_dim: Size = 512,
        mapping_layers: Depth = 2,
        patch: Side = 1,
        width: Width = 512,
        max_width: Width = 512,
    ) -> None:
        super().__init__()
        self.image, self.z_dim, self.patch = image, z_dim, patch
        shape = Pyramid(image, patch, width, max_width, 1, 1)
        self.embedding = nn.Embedding(image.num_classes, w_dim)
        sizes = [z_dim + w_dim] + [w_dim] * mapping_layers
        self.mapping = nn.ModuleList(
            EqualLinear(before, after, lr_multiplier=0.01)
            for before, after in itertools.pairwise(sizes)
        )
        self.constant = nn.Parameter(torch.randn(shape.widths[0], *shape.base))
        self.stages = nn.ModuleList()
        colours, before = image.channels * patch**2, 0
        for channels in shape.widths:
            self.stages.append(StyleStage(before, channels, colours, w_dim))
            before = channels

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, z_dim)``, int64 ``(N,)`` -> float ``(N, C, H, W)``, nominally [-1, 1]."""
        w = self.styles(z, labels)
        x = self.constant.expand(len(z), -1, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        images: Tensor | None = None
        for stage in self.stages:
            x, share = stage(x, w)
            share = F.pixel_shuffle(share, self.patch)
            images = share if images is None else upsample(images) + share
        assert images is not None  # there is at least one stage
        return crop_to(images, self.image.height, self.image.width)

    def styles(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, z_dim)``, int64 ``(N,)`` -> float32 ``(N, w_dim)``, under autocast too."""
        with without_autocast(z):
            w = torch.cat([unit(z), unit(self.embedding(labels))], dim=1)
            for layer in self.mapping:
                w = activated(layer(w))
        return w


class StyleGAN2Discriminator(Discriminator):
    """Images and labels to one logit each (Karras et al. 2020, section 4.1), by projection on a
    class embedding (Miyato & Koyama 2018). In training a feature tells how much a few images of
    the batch differ, so there a logit depends on its companions; in evaluation it does not.

    Args:
        image: shape and classes of the images.
        patch: side of the square of pixels that is one position of the first stage.
        width: channels of the first stage; doubles with every halving, up to ``max_width``.
        architecture: "residual" as published for large images, "plain" as for CIFAR-10.
        group_size: at most so many images are compared with one another.
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        patch: Side = 1,
        width: Width = 512,
        max_width: Width = 512,
        architecture: Literal["residual", "plain"] = "residual",
        group_size: BatchSize = 4,
    ) -> None:
        super().__init__()
        if architecture not in STAGES:
            raise ValueError(f"architecture must be one of {', '.join(STAGES)}: {architecture}")
        shape = Pyramid(image, patch, width, max_width, 1, 1)
        widths = shape.widths[::-1]
        self.image, self.patch, self.full = image, patch, shape.full
        self.feature_dim = last = widths[-1]
        self.from_image = Activated(EqualConv(image.channels * patch**2, widths[0], 1))
        self.stages = nn.Sequential(
            *(STAGES[architecture](*pair) for pair in itertools.pairwise(widths))
        )
        self.deviation = BatchDeviation(group_size)
        self.mix = Activated(EqualConv(last + 1, last, 3))
        self.collapse = EqualLinear(last * shape.base[0] * shape.base[1], last)
        self.head = EqualLinear(last, last)
        self.embedding = nn.Embedding(image.num_classes, last)

    def features(self, images: Tensor) -> Tensor:
        x = F.pixel_unshuffle(pad_to(images, *self.full), self.patch)
        x = self.from_image(x.contiguous(memory_format=torch.channels_last))
        x = self.mix(self.deviation(self.stages(x)))
        return activated(self.collapse(x.flatten(1))).float()

    def logits(self, features: Tensor, labels: Tensor) -> Tensor:
        embedded = unit(self.embedding(labels)) / math.sqrt(self.feature_dim)
        return (self.head(features) * embedded).sum(dim=1)


class StyleStage(nn.Module):
    """One resolution of the generator: a convolution to twice the size, unless it is the first
    stage (``before`` 0), another one, and its share of the image."""

    def __init__(self, before: int, after: int, colours: int, w_dim: int) -> None:
        super().__init__()
        convolutions: list[EqualConv] = [EqualConvUp(before, after, 3)] if before else []
        convolutions.append(EqualConv(after, after, 3))
        self.layers = nn.ModuleList(Modulated(one, w_dim) for one in convolutions)
        self.to_image = ToImage(after, colours, w_dim)

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers:
            x = layer(x, w)
        return x, self.to_image(x, w)


class PlainStage(nn.Module):
    """Two 3x3 convolutions, the second to half the size."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.same = Activated(EqualConv(before, before, 3))
        self.down = Activated(EqualConvDown(before, after, 3))

    def forward(self, x: Tensor) -> Tensor:  # (N, before, 2H, 2W) -> (N, after, H, W)
        return self.down(self.same(x))


class ResidualStage(PlainStage):
    """The same with a 1x1 shortcut; the sum is scaled back to the variance of its terms."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after)
        self.shortcut = EqualConvDown(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        return (super().forward(x) + self.shortcut(x)) * math.sqrt(1 / 2)


STAGES: dict[str, type[PlainStage]] = {"residual": ResidualStage, "plain": PlainStage}


class BatchDeviation(nn.Module):
    """Appends a channel: the standard deviation over a group of images, averaged over channels and
    positions (Karras et al. 2018, section 3). In evaluation, its average in training.

    Groups are neighbours in the batch and never straddle its middle, where real images end and
    generated ones begin. Nor do they straddle processes, since those of the whole batch don't.

    Raises:
        SynthgenError: groups of the whole batch would straddle processes.
    """

    average: Tensor

    def __init__(self, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size
        self.register_buffer("average", torch.zeros(()))
        self.processes = Processes()  # those whose images make a batch

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C + 1, H, W)
        count, _, height, width = x.shape
        if self.training:
            size = self.group_here(count)
            groups = x.float().unflatten(0, (-1, size))
            variance = (groups - groups.mean(dim=1, keepdim=True)).square().mean(dim=1)
            deviation = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))
            self.average.lerp_(self.processes.mean(deviation.detach().mean()), 0.01)
            per_image = deviation.repeat_interleave(size)
        else:
            per_image = self.average.expand(count)
        channel = per_image.to(x.dtype)[:, None, None, None].expand(-1, 1, height, width)
        return torch.cat([x, channel], dim=1).contiguous(memory_format=torch.channels_last)

    def group(self, count: int) -> int:
        """The largest group that divides each half of a batch, or an odd batch."""
        half = count // 2 if count % 2 == 0 else count
        return max(size for size in range(1, self.group_size + 1) if half % size == 0)

    def group_here(self, count: int) -> int:
        """The group size of the whole batch, of which ``count`` images are here."""
        world = self.processes.world
        size = self.group(count * world)
        half = count // 2 if count % 2 == 0 else count
        if world > 1 and half % size:
            raise SynthgenError(
                f"The discriminator compares groups of {size} images, and {half} images a process "
                f"({world} processes) don't divide into them.\n"
                f"Let batch_size be a multiple of {2 * self.group_size * world}, or group_size 1."
            )
        return size
