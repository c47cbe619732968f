"""Encoder and decoder of a hierarchical VAE with residual blocks: latents at several resolutions,
inferred from coarse to fine (Sønderby et al. 2016; Child 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, cast

import torch
import torch.nn.functional as F
from annotated_types import MinLen
from torch import Tensor, nn

from synthgen.networks.base import Generator
from synthgen.networks.blocks import (
    GAIN,
    SLOPE,
    class_embedding,
    crop_to,
    scaled_,
    upsample,
)
from synthgen.networks.r3gan import Downward, Pyramid
from synthgen.ranges import Depth, DepthOrNone, Side, Size, Width
from synthgen.serialization import Rebuildable
from synthgen.types import ImageSpec

LOG_RANGE = 5.0  # log-variances stay within ± this, softly, so that none of them explodes


class LadderEncoder(Downward, Rebuildable):
    """Images to features at every resolution, from fine to coarse: the bottom-up half of the ladder
    (Sønderby et al. 2016, eq. 8-10). Arguments as in LadderDecoder."""

    def __init__(
        self,
        image: ImageSpec,
        *,
        patch: Side = 2,
        width: Width = 32,
        max_width: Width = 128,
        blocks: DepthOrNone = 1,
        last_blocks: DepthOrNone = 1,
        expansion: Depth = 1,
        group_size: Width | None = None,
    ) -> None:
        super().__init__(
            image,
            patch=patch,
            width=width,
            max_width=max_width,
            blocks=blocks,
            last_blocks=last_blocks,
            expansion=expansion,
            group_size=group_size,
        )
        self.image = image

    def forward(self, images: Tensor) -> list[Tensor]:
        """float ``(N, C, H, W)`` in [-1, 1] -> one ``(N, width, h, w)`` per stage, coarsest
        first."""
        return super().forward(images)[::-1]


class Rung(nn.Module):
    """A latent grid of one resolution: its prior given the levels above, its posterior relative to
    that prior (Vahdat & Kautz 2020, section 3.2), and its way into the image."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.prior = scaled_(nn.Conv2d(width, 2 * channels, 3, padding=1), 0.1)
        self.mix = scaled_(nn.Conv2d(2 * width, width, 1), GAIN)
        self.posterior = scaled_(nn.Conv2d(width, 2 * channels, 3, padding=1), 0.1)
        self.inject = scaled_(nn.Conv2d(channels, width, 1))

    def forward(
        self, x: Tensor, noise: Tensor, features: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """State ``(N, width, h, w)`` and standard normal ``(N, channels, h, w)`` -> the next state
        and the KL divergence per image ``(N,)``; without features, from the prior and None."""
        mean, logvar = gaussian(self.prior(F.leaky_relu(x, SLOPE)))
        kl = None
        if features is not None:
            both = torch.cat([x, features], dim=1)
            shift, scale = gaussian(self.posterior(F.leaky_relu(self.mix(both), SLOPE)))
            kl = residual_kl(shift, scale, logvar).flatten(1).sum(1)
            mean, logvar = mean + shift, logvar + scale
        return x + self.inject(mean + noise * (0.5 * logvar).exp()), kl


class LadderDecoder(Generator):
    """Standard normal numbers and labels to images, through a vector of latents and then grids of
    latents, each level's distribution learned given the levels above (Child 2021, section 3;
    Sønderby et al. 2016, section 2). ``z`` holds the numbers of all levels, coarsest first: a
    latent is its mean plus its standard deviation times the number.

    Args:
        image: shape and classes of the images to make.
        top_dim: length of the coarsest latent, a vector whose prior is a Gaussian for each class.
        channels: of the grids of latents at the coarsest stages, one number for each; those beyond
            the stages that an image has are left out.
        patch: side of the square of pixels that is one position of the last stage.
        width: channels of the last stage; doubles with every halving, up to ``max_width``.
        blocks: residual blocks per stage; ``last_blocks`` in the last stage.
        expansion: inner channels of a block relative to its width.
        group_size: channels per group of the 3x3 convolutions; None = one group.
        embedding_dim: length of the class embedding that the image starts from, beside the vector.
        out_channels: numbers per pixel that a likelihood needs; None = the channels of an image.
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        top_dim: Size = 32,
        channels: Annotated[Sequence[Width], MinLen(1)] = (4, 1),
        patch: Side = 2,
        width: Width = 32,
        max_width: Width = 128,
        blocks: DepthOrNone = 1,
        last_blocks: DepthOrNone = 1,
        expansion: Depth = 1,
        group_size: Width | None = None,
        embedding_dim: Size = 64,
        out_channels: Width | None = None,
    ) -> None:
        super().__init__()
        shape = Pyramid(image, patch, width, max_width, blocks, last_blocks)
        self.out_channels = image.channels if out_channels is None else out_channels
        self.image, self.patch, self.base, self.widths = image, patch, shape.base, shape.widths
        if not channels or min(channels) < 1:
            raise ValueError(f"a ladder needs one grid of channels at least, got {list(channels)}")
        height, columns = shape.base
        self.shapes = [(top_dim, 1, 1)] + [
            (count, height * 2**level, columns * 2**level)
            for level, count in enumerate(channels[: len(shape.widths)])
        ]
        self.z_dim = sum(math.prod(one) for one in self.shapes)
        first, positions = shape.widths[0], height * columns
        self.top_dim = top_dim
        self.top_prior = nn.Embedding(image.num_classes, 2 * top_dim)
        nn.init.zeros_(self.top_prior.weight)  # N(0, I) for every class
        self.embedding = class_embedding(image.num_classes, embedding_dim)
        self.top_posterior = scaled_(nn.Linear(first * positions + embedding_dim, 2 * top_dim), 0.1)
        self.project = scaled_(nn.Linear(top_dim + embedding_dim, first * positions))
        self.rungs = nn.ModuleList(
            Rung(wide, one[0]) for wide, one in zip(shape.widths, self.shapes[1:], strict=False)
        )
        self.stages = shape.stages(expansion, group_size)
        last = shape.widths[-1]
        self.to_image = scaled_(nn.Conv2d(last, self.out_channels * patch**2, 3, padding=1), 0.5)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, z_dim)`` from N(0, I), int64 ``(N,)`` -> ``(N, out_channels, H, W)``."""
        return self._descend(z, labels, None)[0]

    def infer(self, z: Tensor, labels: Tensor, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """As ``forward``, with every level drawn from its posterior given the encoder's features;
        also KL(q ‖ p) of each level given those above, nats, float32 ``(levels, N)``."""
        outputs, kl = self._descend(z, labels, features)
        return outputs, torch.stack(kl)

    def top(self, noise: Tensor, labels: Tensor, features: list[Tensor]) -> Tensor:
        """The coarsest level drawn from its posterior, as the number that ``forward`` would take
        for the same latent, float32 ``(N, top_dim)``; N(0, I) under the prior."""
        mean, logvar = gaussian(self.top_prior(labels))
        shift, scale = self._top_posterior(self.embedding(labels), features)
        latent = mean + shift + noise * (0.5 * (logvar + scale)).exp()
        return (latent - mean) * (-0.5 * logvar).exp()

    def _top_posterior(self, embedded: Tensor, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        seen = torch.cat([features[0].flatten(1), embedded.to(features[0].dtype)], dim=1)
        return gaussian(self.top_posterior(seen))

    def _descend(
        self, z: Tensor, labels: Tensor, features: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        parts = z.split([math.prod(one) for one in self.shapes], dim=1)
        noise = [part.view(-1, *one) for part, one in zip(parts, self.shapes, strict=True)]
        x, divergences = self._top(noise[0].flatten(1), labels, features)
        for level, stage in enumerate(self.stages):
            change, *layers = cast(nn.Sequential, stage)
            x = change(upsample(x) if level else x)  # to this stage's width
            if level < len(self.rungs):
                known = None if features is None else features[level]
                x, kl = self.rungs[level](x, noise[level + 1], known)
                divergences += [] if kl is None else [kl]
            for layer in layers:
                x = layer(x)
        x = F.pixel_shuffle(self.to_image(F.leaky_relu(x, SLOPE)), self.patch)
        return crop_to(x, self.image.height, self.image.width), divergences

    def _top(
        self, noise: Tensor, labels: Tensor, features: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """The coarsest level: the first state, and the KL divergence if there are features."""
        embedded = self.embedding(labels)
        mean, logvar = gaussian(self.top_prior(labels))
        divergences = []
        if features is not None:
            shift, scale = self._top_posterior(embedded, features)
            divergences = [residual_kl(shift, scale, logvar).sum(1)]
            mean, logvar = mean + shift, logvar + scale
        latent = mean + noise * (0.5 * logvar).exp()
        x = self.project(torch.cat([latent, embedded], dim=1))
        x = x.view(len(latent), self.widths[0], *self.base)
        return x.to(memory_format=torch.channels_last), divergences


def gaussian(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """``(N, 2 C, …)`` -> mean and log-variance, float32 ``(N, C, …)``, the latter bounded."""
    mean, logvar = parameters.float().chunk(2, dim=1)
    return mean, LOG_RANGE * torch.tanh(logvar / LOG_RANGE)


def residual_kl(shift: Tensor, scale: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(μ + shift, σ² exp(scale)) ‖ N(μ, σ² = exp(logvar))), nats per latent, the same shape
    (Vahdat & Kautz 2020, eq. 2)."""
    return 0.5 * (scale.exp() + shift.square() * (-logvar).exp() - 1 - scale)
