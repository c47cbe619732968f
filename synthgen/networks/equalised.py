"""Layers of StyleGAN2: equalised learning rates, modulated convolutions, resampling with a blur."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.networks.spectral import without_autocast

SLOPE = 0.2
GAIN = math.sqrt(2)  # after each leaky ReLU, so that variance is about kept
SMALL = 1e-8


class EqualLinear(nn.Module):
    """A linear layer with weights stored at unit variance and scaled where they are used, so that
    one learning rate suits all layers (Karras et al. 2018, section 4.1).

    Args:
        lr_multiplier: how much slower than the other layers it learns.
        bias: where the bias starts.
    """

    def __init__(
        self, before: int, after: int, *, lr_multiplier: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((after,), bias / lr_multiplier))
        self.scale, self.lr_multiplier = lr_multiplier / math.sqrt(before), lr_multiplier

    def forward(self, x: Tensor) -> Tensor:  # (N, before) -> (N, after)
        return F.linear(x, self.weight * self.scale, self.bias * self.lr_multiplier)


class EqualConv(nn.Module):
    """A convolution without bias that keeps the size; scaled as :class:`EqualLinear`."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.scale, self.padding = 1 / math.sqrt(before * kernel**2), kernel // 2

    def scaled_weight(self) -> Tensor:
        return self.weight * self.scale

    def forward(self, x: Tensor) -> Tensor:  # (N, before, H, W) -> (N, after, H, W)
        return F.conv2d(x, self.scaled_weight(), padding=self.padding)


class EqualConvUp(EqualConv):
    """A 3x3 convolution at twice the size: transposed, then blurred (Karras et al. 2019, section
    B). The same as blurring a doubled image first, at a quarter of the cost."""

    def forward(self, x: Tensor) -> Tensor:  # (N, before, H, W) -> (N, after, 2H, 2W)
        weight = self.scaled_weight().flip(2, 3).transpose(0, 1)
        return blur(F.conv_transpose2d(x, weight, stride=2), padding=1, gain=4.0)


class EqualConvDown(EqualConv):
    """A convolution at half the size, of a blurred image, so that nothing is aliased."""

    def forward(self, x: Tensor) -> Tensor:  # (N, before, 2H, 2W) -> (N, after, H, W)
        return F.conv2d(blur(x, padding=1 + self.padding), self.scaled_weight(), stride=2)


class Modulated(nn.Module):
    """A convolution whose input channels are scaled by a style, and whose output channels are
    scaled back to unit variance (Karras et al. 2020, eqs. 1 and 3).

    Scaling activations before and after one shared convolution gives the same numbers as scaling
    each image's weights, and spares a convolution with a group per image. The scales are computed
    in float32, under autocast too: they are few, and every pixel shares their rounding.
    """

    def __init__(self, convolution: EqualConv, w_dim: int) -> None:
        super().__init__()
        after, before = convolution.weight.shape[:2]
        self.convolution = convolution
        self.style = EqualLinear(w_dim, before, bias=1.0)
        self.bias = nn.Parameter(torch.zeros(after))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:  # (N, before, H, W), (N, w_dim)
        with without_autocast(x):
            style = self.style(w)
            squares = self.convolution.scaled_weight().square().sum(dim=(2, 3))  # (after, before)
            scale = GAIN * (F.linear(style.square(), squares) + SMALL).rsqrt()
        h = self.convolution(x * style.to(x.dtype)[:, :, None, None])
        demodulation = scale.to(h.dtype)[:, :, None, None]
        bias = (GAIN * self.bias).to(h.dtype)[:, None, None]
        return F.leaky_relu(torch.addcmul(bias, h, demodulation), SLOPE)


class ToImage(nn.Module):
    """A modulated 1x1 convolution to pixels, without demodulation."""

    def __init__(self, before: int, channels: int, w_dim: int) -> None:
        super().__init__()
        self.convolution = EqualConv(before, channels, 1)
        self.style = EqualLinear(w_dim, before, bias=1.0)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:  # (N, before, H, W) -> (N, channels, H, W)
        style = self.style(w).to(x.dtype)[:, :, None, None]
        return self.convolution(x * style).float() + self.bias[:, None, None]


class Activated(nn.Module):
    """A convolution, a bias and a leaky ReLU."""

    def __init__(self, convolution: EqualConv) -> None:
        super().__init__()
        self.convolution = convolution
        self.bias = nn.Parameter(torch.zeros(convolution.weight.shape[0]))

    def forward(self, x: Tensor) -> Tensor:
        h = self.convolution(x)
        return activated(h + self.bias.to(h.dtype)[:, None, None])


def activated(x: Tensor) -> Tensor:
    """Leaky ReLU, times a factor that about keeps the variance."""
    return F.leaky_relu(x, SLOPE) * GAIN


def blur(x: Tensor, *, padding: int, gain: float = 1.0) -> Tensor:
    """Each channel filtered by [1, 3, 3, 1] in both directions; the filter sums to ``gain``."""
    blurred: Tensor = Blur.apply(x, padding, gain)
    return blurred


class Blur(torch.autograd.Function):
    """The filter is symmetric, so the gradient is the same filter with the other padding. As a
    convolution forward it costs a tenth of what its own backward pass costs on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: int, gain: float) -> Tensor:
        ctx.padding, ctx.gain = padding, gain
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device) / 8
        kernel = (gain * taps[:, None] * taps).to(x.dtype).expand(x.shape[1], 1, 4, 4)
        return F.conv2d(x, kernel, padding=padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return blur(gradients[0], padding=3 - ctx.padding, gain=ctx.gain), None, None


def unit(x: Tensor) -> Tensor:
    """Rows scaled to a mean square of 1, in float32."""
    x = x.float()
    return x * (x.square().mean(dim=1, keepdim=True) + SMALL).rsqrt()
