"""Generator and discriminator after BigGAN (Brock et al. 2019, "Large scale GAN training for high
fidelity natural image synthesis"), for any size from 8 to 256 pixels.

Left out: orthogonal regularisation and truncation (section 3.1). The first serves the second, which
costs a training set its rare images; the spectral norm of both networks bounds their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.networks.base import Discriminator, Generator
from synthgen.networks.blocks import Head, Projection, SelfAttention, crop_to, downsample, pad_to
from synthgen.networks.r3gan import Pyramid
from synthgen.networks.spectral import LAYERS, normalise_spectrum
from synthgen.ranges import DepthOrNone, Side, Size, Width
from synthgen.types import ImageSpec


class BigGANGenerator(Generator):
    """Latents and labels to images (Brock et al. 2019, appendix B, figure 15). Each block is told
    the class, by an embedding that all blocks share, and its own part of the latents.

    Args:
        image: shape and classes of the images to make.
        z_dim: length of a latent vector; split evenly over the first layer and the blocks.
        patch: side of the square of pixels that is one position of the last stage (pixel shuffle);
            1 is the published network, 2 spares the costly stage at full resolution.
        width: channels of the last stage; doubles with every halving, up to ``max_width``.
        embedding_dim: length of the shared class embedding.
        attention: self-attention after the last block whose map has at most so many positions on
            its longer side, if there is one; None = nowhere.
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        z_dim: Size = 80,
        patch: Side = 1,
        width: Width = 64,
        max_width: Width = 256,
        embedding_dim: Size = 128,
        attention: Side | None = None,
    ) -> None:
        super().__init__()
        self.image, self.z_dim, self.patch = image, z_dim, patch
        shape = Pyramid(image, patch, width, max_width, 1, 1)
        self.base, self.first_width = shape.base, shape.widths[0]
        # The smallest images need no doubling; one block tells even their network the class.
        pairs = list(pairwise(shape.widths)) or [(shape.widths[0], shape.widths[0])]
        resample = doubled if len(shape.widths) > 1 else nn.Identity()
        parts = 1 + len(pairs)
        if z_dim < parts:
            raise ValueError(f"z_dim must be at least {parts}, one per part of the network")
        self.split = [(z_dim + k) // parts for k in range(parts)]  # adds up to z_dim
        self.embedding = nn.Embedding(image.num_classes, embedding_dim)
        base_size = self.base[0] * self.base[1]
        self.project = nn.Linear(self.split[0], self.first_width * base_size)
        self.blocks = nn.ModuleList(
            GeneratorBlock(before, after, embedding_dim + part, resample)
            for (before, after), part in zip(pairs, self.split[1:], strict=True)
        )
        sides = [max(shape.full) // patch // 2**level for level in range(len(pairs))][::-1]
        self.attention = attention_after(attention, sides, [after for _, after in pairs])
        self.norm = nn.BatchNorm2d(shape.widths[-1])
        self.to_image = nn.Conv2d(shape.widths[-1], image.channels * patch**2, 3, padding=1)
        # Not the embedding: classes are mixed by replacing its weights.
        spectrally_normalised(self, [nn.Conv2d, nn.Linear])

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, z_dim)``, int64 ``(N,)`` -> float ``(N, C, H, W)`` in (-1, 1)."""
        first, *parts = z.split(self.split, dim=1)
        embedded = self.embedding(labels).to(z.dtype)
        x = self.project(first).view(len(z), self.first_width, *self.base)
        x = x.contiguous(memory_format=torch.channels_last)
        for level, (block, part) in enumerate(zip(self.blocks, parts, strict=True)):
            x = block(x, torch.cat([embedded, part], dim=1))
            if str(level) in self.attention:
                x = self.attention[str(level)](x)
        x = F.pixel_shuffle(self.to_image(F.relu(self.norm(x))), self.patch)
        return crop_to(x.tanh(), self.image.height, self.image.width)


class BigGANDiscriminator(Discriminator):
    """Images and labels to one logit each (Brock et al. 2019, appendix B): residual blocks, a sum
    over positions, and a projection on the class embedding (Miyato & Koyama 2018, eq. 3).

    Args:
        image: shape and classes of the images.
        patch: side of the square of pixels that is one position of the first stage.
        width: channels of the first block; doubles with every block, up to ``max_width``.
        halvings: how many blocks, from the first, halve the resolution; None = all but the last.
        attention: self-attention after the first block whose map has at most so many positions on
            its longer side, if there is one; None = nowhere.
        head: called with (length of the features, number of classes); features to logits.
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        patch: Side = 1,
        width: Width = 64,
        max_width: Width = 256,
        halvings: DepthOrNone | None = None,
        attention: Side | None = None,
        head: Callable[[int, int], Head] = Projection,
    ) -> None:
        super().__init__()
        shape = Pyramid(image, patch, width, max_width, 1, 1)
        self.image, self.patch, self.full = image, patch, shape.full
        widths = shape.widths[::-1]
        self.feature_dim = widths[-1]
        halved = len(widths) - 1 if halvings is None else min(halvings, len(widths) - 1)
        self.blocks = nn.ModuleList()
        before, side, sides = image.channels * patch**2, max(shape.full) // patch, []
        for level, channels in enumerate(widths):
            resample = downsample if level < halved else nn.Identity()
            activate = F.relu if level else nn.Identity()
            self.blocks.append(DiscriminatorBlock(before, channels, activate, resample))
            before, side = channels, side // 2 if level < halved else side
            sides.append(side)
        self.attention = attention_after(attention, sides, widths)
        self.head = head(self.feature_dim, image.num_classes)
        spectrally_normalised(self, LAYERS)

    def features(self, images: Tensor) -> Tensor:
        x = F.pixel_unshuffle(pad_to(images, *self.full), self.patch)
        x = x.contiguous(memory_format=torch.channels_last)
        for level, block in enumerate(self.blocks):
            x = block(x)
            if str(level) in self.attention:
                x = self.attention[str(level)](x)
        return F.relu(x).float().sum(dim=(2, 3))

    def logits(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.head(features, labels)


class GeneratorBlock(nn.Module):
    """Two 3x3 convolutions after conditional batch norms, and a 1x1 shortcut (Brock et al. 2019,
    figure 15b); ``resample`` is applied to both branches."""

    def __init__(
        self, before: int, after: int, condition_dim: int, resample: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = ConditionedBatchNorm(before, condition_dim)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.norm2 = ConditionedBatchNorm(after, condition_dim)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.resample(F.relu(self.norm1(x, condition)))
        h = F.relu(self.norm2(self.conv1(h), condition))
        # A 1x1 convolution and nearest upsampling commute; this order costs a quarter.
        return self.conv2(h) + self.resample(self.shortcut(x))


class DiscriminatorBlock(nn.Module):
    """Two 3x3 convolutions and a 1x1 shortcut, then ``resample`` (Brock et al. 2019, figure 15c).

    Args:
        activate: applied to what comes in; the first block sees pixels and takes them as they are.
        resample: applied to both branches.
    """

    def __init__(
        self,
        before: int,
        after: int,
        activate: Callable[[Tensor], Tensor],
        resample: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.activate, self.resample = activate, resample
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        plain = before == after and isinstance(resample, nn.Identity)
        self.shortcut: nn.Module = nn.Identity() if plain else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.conv1(self.activate(x))))
        # A 1x1 convolution and averaging commute; this order costs a quarter.
        return self.resample(h) + self.shortcut(self.resample(x))


class ConditionedBatchNorm(nn.Module):
    """Batch norm whose scale and shift are linear in a condition (de Vries et al. 2017, section
    4.2); in evaluation with the statistics gathered in training."""

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Linear(condition_dim, channels, bias=False)
        self.shift = nn.Linear(condition_dim, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # (N, C, H, W), (N, condition_dim)
        scale, shift = 1 + self.scale(condition).to(x.dtype), self.shift(condition).to(x.dtype)
        return torch.addcmul(shift[:, :, None, None], self.norm(x), scale[:, :, None, None])


def spectrally_normalised(network: nn.Module, layers: Iterable[type[nn.Module]]) -> None:
    """Give these kinds of layers orthogonal weights (Saxe et al. 2014), no biases, and from now on
    spectral norm one."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(layer.weight)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    normalise_spectrum(network, layers)


def attention_after(most: int | None, sides: list[int], widths: list[int]) -> nn.ModuleDict:
    """Self-attention for the block with the largest map that has at most ``most`` positions on its
    longer side; the first of several. Its key is the block's number."""
    fitting = [side for side in sides if most is not None and side <= most]
    if not fitting:
        return nn.ModuleDict()
    level = sides.index(max(fitting))
    return nn.ModuleDict({str(level): SelfAttention(widths[level])})


def doubled(x: Tensor) -> Tensor:
    """Twice the height and width, by repeating positions."""
    return F.interpolate(x, scale_factor=2, mode="nearest")
