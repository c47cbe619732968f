"""Building blocks: the residual block, resampling, padding, attention, class-conditional
normalisation, and how features become one logit."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps variance through a leaky ReLU (He et al. 2015, eq. 14)


def scaled_(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Conv2d | nn.Linear:
    """Initialise weights from N(0, gain² / fan_in) and the bias with zero; returns ``layer``."""
    fan_in = layer.weight[0].numel()
    with torch.no_grad():
        layer.weight.normal_(0, gain / math.sqrt(fan_in))
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


def class_embedding(num_classes: int, length: int) -> nn.Embedding:
    """Rows from N(0, 1 / num_classes): what a linear layer makes of a one-hot label. Beside latents
    from N(0, I) the label is then the smaller part of a generator's input; as loud as the latents
    it becomes all that the generator listens to, one image per class."""
    layer = nn.Embedding(num_classes, length)
    nn.init.normal_(layer.weight, std=num_classes**-0.5)
    return layer


class ResidualBlock(nn.Module):
    """1x1 - 3x3 - 1x1 with leaky ReLUs between, added to its input; no normalisation.

    The R3GAN block (Huang et al. 2024, section 3.4): an inverted bottleneck with a grouped 3x3
    convolution, initialised as in Fix-up (Zhang et al. 2019): the last layer is zero and the others
    shrink with the number of blocks, so a deep stack starts as the identity.
    """

    def __init__(self, width: int, *, expansion: int, group_size: int | None, blocks: int) -> None:
        super().__init__()
        inner = width * expansion
        if group_size is not None and inner % group_size:
            raise ValueError(f"{inner} inner channels can't be split into groups of {group_size}")
        groups = 1 if group_size is None else inner // group_size
        shrink = blocks ** (-1 / 4)
        self.expand = scaled_(nn.Conv2d(width, inner, 1), GAIN * shrink)
        self.mix = scaled_(nn.Conv2d(inner, inner, 3, padding=1, groups=groups), GAIN * shrink)
        self.project = scaled_(nn.Conv2d(inner, width, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:  # (N, width, H, W) -> the same
        h = F.leaky_relu(self.expand(x), SLOPE)
        h = F.leaky_relu(self.mix(h), SLOPE)
        return x + self.project(h)


def upsample(x: Tensor) -> Tensor:
    """Twice the height and width, bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def downsample(x: Tensor) -> Tensor:
    """Half the height and width, by averaging."""
    return F.avg_pool2d(x, 2)


def stages(size: int) -> tuple[int, int]:
    """How often to double, and from what base, to reach at least ``size`` pixels.

    The base lies between 4 and 7, so little is padded: 28 = 7·2², 32 = 4·2³, 50 -> 7·2³ = 56.
    """
    doublings = max(0, math.floor(math.log2(size / 4)))
    return doublings, math.ceil(size / 2**doublings)


def pad_to(images: Tensor, height: int, width: int) -> Tensor:
    """Pad ``(N, C, H, W)`` evenly on all sides by repeating the edge pixels."""
    extra_h, extra_w = height - images.shape[2], width - images.shape[3]
    if not extra_h and not extra_w:
        return images
    top, left = extra_h // 2, extra_w // 2
    return F.pad(images, (left, extra_w - left, top, extra_h - top), mode="replicate")


def crop_to(images: Tensor, height: int, width: int) -> Tensor:
    """Cut the centre out; undoes :func:`pad_to`."""
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]


# How a discriminator's features become one logit per image.


class Head(nn.Module, ABC):
    """Features and labels to logits; built with the length of the features and the classes."""

    @abstractmethod
    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, F)``, int64 ``(N,)`` -> float32 ``(N,)``."""


class Unconditional(Head):
    """A linear layer that doesn't look at the label, for use with an auxiliary classifier (Odena
    et al. 2017)."""

    def __init__(self, feature_dim: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_dim, 1)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.linear(features).squeeze(1)


class Projection(Unconditional):
    """The inner product of features and a class embedding beside a linear layer that doesn't look
    at the label (Miyato & Koyama 2018, eq. 3)."""

    def __init__(self, feature_dim: int, num_classes: int) -> None:
        super().__init__(feature_dim, num_classes)
        self.embedding = nn.Embedding(num_classes, feature_dim)
        nn.init.xavier_uniform_(self.embedding.weight)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return super().forward(features, labels) + (features * self.embedding(labels)).sum(dim=1)


class InnerProduct(Head):
    """The inner product of features and a class embedding, divided by the root of their length, and
    nothing else (as in Huang et al. 2024, whose code starts with an embedding smaller by the root
    of the number of classes)."""

    def __init__(self, feature_dim: int, num_classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_classes, feature_dim)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        embedded = self.embedding(labels) / math.sqrt(features.shape[1])
        return (features * embedded).sum(dim=1)


# Self-attention over the positions of a feature map.


class SelfAttention(nn.Module):
    """Every position looks at all others (SAGAN, Zhang et al. 2019, eqs. 1-3), with keys and values
    at half the resolution as in BigGAN. Its share starts at zero.

    Written out rather than fused, because gradient penalties differentiate it twice, and torch's
    fused kernel for CPUs has no second derivative (torch 2.14).

    Args:
        channels: of the feature map, at least 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 8:
            raise ValueError(f"self-attention needs at least 8 channels, got {channels}")
        inner, values = channels // 8, channels // 2
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, values, 1, bias=False)
        self.output = nn.Conv2d(values, channels, 1, bias=False)
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> the same
        height, width = x.shape[2:]
        query = self.query(x).flatten(2)  # (N, C/8, HW)
        key = _halved(self.key(x)).flatten(2)  # (N, C/8, HW/4)
        value = _halved(self.value(x)).flatten(2)  # (N, C/2, HW/4)
        weights = torch.bmm(query.transpose(1, 2), key).float().softmax(dim=2)
        seen = torch.bmm(value, weights.to(value.dtype).transpose(1, 2))  # (N, C/2, HW)
        seen = seen.unflatten(2, (height, width)).contiguous(memory_format=torch.channels_last)
        return torch.add(x, self.output(seen) * self.share.to(x.dtype))


def _halved(x: Tensor) -> Tensor:
    """Maxima of 2x2 positions; odd sides keep their last row and column."""
    return F.max_pool2d(x, 2, ceil_mode=True)


# Batch normalisation whose gain and bias belong to a class.


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
