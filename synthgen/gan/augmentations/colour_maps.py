"""Colour operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map of
(red, green, blue) per image. They leave grey grey, so they hold for grey images too: brightness,
contrast and the flip of the luma act there, hue and saturation do nothing."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from synthgen.ranges import Degrees, Spread

LUMA = torch.full((3, 3), 1 / 3)  # projects on the grey axis


class ColourOperation(ABC):
    """Draws float32 ``(N, 4, 4)`` maps of (red, green, blue, 1)."""

    @abstractmethod
    def draw(self, count: int, random: torch.Generator) -> Tensor: ...


class ShiftBrightness(ColourOperation):
    """Adds N(0, deviation²)."""

    def __init__(self, deviation: Spread = 0.2) -> None:
        self.deviation = deviation

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        found = torch.eye(4).repeat(count, 1, 1)
        found[:, :3, 3] = torch.randn(count, 1, generator=random) * self.deviation
        return found


class ScaleContrast(ColourOperation):
    """Multiplies by 2 to the power of N(0, deviation²)."""

    def __init__(self, deviation: Spread = 0.5) -> None:
        self.deviation = deviation

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        factor = torch.exp2(torch.randn(count, generator=random) * self.deviation)
        return _linear(factor[:, None, None] * torch.eye(3))


class FlipLuma(ColourOperation):
    """Light for dark at the same hue, or not, at equal odds."""

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        flipped = torch.randint(2, (count,), generator=random).float()
        return _linear(torch.eye(3) - 2 * LUMA * flipped[:, None, None])


class RotateHue(ColourOperation):
    """Turns colours around the grey axis by U(-degrees, degrees)."""

    def __init__(self, degrees: Degrees = 180.0) -> None:
        self.degrees = degrees

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        drawn = torch.rand(count, generator=random) * 2 - 1
        angle = (drawn * math.radians(self.degrees))[:, None, None]
        cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
        return _linear(LUMA + angle.cos() * (torch.eye(3) - LUMA) + angle.sin() * cross)


class ScaleSaturation(ColourOperation):
    """Multiplies the distance from grey by 2 to the power of N(0, deviation²)."""

    def __init__(self, deviation: Spread = 1.0) -> None:
        self.deviation = deviation

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        factor = torch.exp2(torch.randn(count, generator=random) * self.deviation)
        return _linear(LUMA + factor[:, None, None] * (torch.eye(3) - LUMA))


def apply_colours(images: Tensor, maps: Tensor) -> Tensor:
    """float32 ``(N, C, H, W)`` of 1 or 3 channels through ``(N, 4, 4)`` maps of colours."""
    if images.shape[1] == 1:
        scale, shift = maps[:, :3, :3].sum(2).mean(1), maps[:, :3, 3].mean(1)
        return images * scale[:, None, None, None] + shift[:, None, None, None]
    mixed = torch.einsum("nij,njhw->nihw", maps[:, :3, :3], images)
    return mixed + maps[:, :3, 3, None, None]


def _linear(inner: Tensor) -> Tensor:
    found = torch.eye(4).repeat(len(inner), 1, 1)
    found[:, :3, :3] = inner
    return found
