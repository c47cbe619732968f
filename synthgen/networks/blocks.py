"""Building blocks of the residual networks: initialisation, the block, resampling, padding."""

from __future__ import annotations

import math

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
