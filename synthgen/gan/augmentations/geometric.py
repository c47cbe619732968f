"""Geometric operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map
per image, so that any number of them costs one resampling.

Each gives the map back from output to input in pixels from the centre, see
:func:`synthgen.gan.augmentations.warp.warp`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from synthgen.ranges import Degrees, Share, Spread


class GeometricOperation(ABC):
    """Draws float32 ``(N, 3, 3)`` maps from output to input."""

    def chance(self, probability: float) -> float:
        """Of being applied to an image, in a pipe with this ``probability``."""
        return probability

    @abstractmethod
    def draw(self, count: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
        """``size`` is (height, width)."""


class XFlip(GeometricOperation):
    """Mirrored left to right, or not, at equal odds."""

    def draw(self, count: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
        sign = torch.randint(2, (count,), generator=random) * 2.0 - 1
        return _scaling(sign, torch.ones(count))


class QuarterTurns(GeometricOperation):
    """0, 1, 2 or 3 quarter turns at equal odds."""

    def draw(self, count: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
        turns = torch.randint(4, (count,), generator=random)
        cosine = torch.tensor([1.0, 0.0, -1.0, 0.0])
        return _turn(cosine[turns], cosine[(turns + 3) % 4])


class IntegerTranslation(GeometricOperation):
    """Moved by whole pixels, up to ``share`` of each side."""

    def __init__(self, share: Share = 0.125) -> None:
        self.share = share

    def draw(self, count: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
        drawn = (torch.rand(count, 2, generator=random) * 2 - 1) * self.share
        return _shift((drawn * _sides(size)).round())


class IsotropicScaling(GeometricOperation):
    """Scaled by 2 to the power of N(0, deviation²)."""

    def __init__(self, deviation: Spread = 0.2) -> None:
        self.deviation = deviation

    def draw(self, count: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
        factor = torch.exp2(torch.randn(count, generator=random) * self.deviation)
        return _scaling(factor, factor)


class AnisotropicScaling(GeometricOperation):
    """Width scaled by 2 to the power of N(0, deviation²) and height by its inverse."""

    def __init__(self, deviation: Spread = 0.2) -> None:
        self.deviation = deviation

    def draw(self, count: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
        factor = torch.exp2(torch.randn(count, generator=random) * self.deviation)
        return _scaling(factor, 1 / factor)


class Rotation(GeometricOperation):
    """Turned by U(-degrees, degrees). The pipe has one before and one after the anisotropic
    scaling; each is applied with 1 - √(1 - p), so that p of the images are turned."""

    def __init__(self, degrees: Degrees = 180.0) -> None:
        self.degrees = degrees

    def chance(self, probability: float) -> float:
        return 1 - math.sqrt(1 - probability)

    def draw(self, count: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
        drawn = torch.rand(count, generator=random) * 2 - 1
        angle = drawn * math.radians(self.degrees)
        return _turn(angle.cos(), angle.sin())


class FractionalTranslation(GeometricOperation):
    """Moved by N(0, deviation²) of each side."""

    def __init__(self, deviation: Spread = 0.125) -> None:
        self.deviation = deviation

    def draw(self, count: int, size: tuple[int, int], random: torch.Generator) -> Tensor:
        return _shift(torch.randn(count, 2, generator=random) * self.deviation * _sides(size))


def _sides(size: tuple[int, int]) -> Tensor:
    return torch.tensor([size[1], size[0]], dtype=torch.float32)


def _scaling(columns: Tensor, rows: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([columns, rows, torch.ones_like(rows)], dim=1))


def _shift(by: Tensor) -> Tensor:
    found = torch.eye(3).repeat(len(by), 1, 1)
    found[:, :2, 2] = by
    return found


def _turn(cosine: Tensor, sine: Tensor) -> Tensor:
    found = torch.eye(3).repeat(len(cosine), 1, 1)
    found[:, 0, 0], found[:, 0, 1] = cosine, -sine
    found[:, 1, 0], found[:, 1, 1] = sine, cosine
    return found
