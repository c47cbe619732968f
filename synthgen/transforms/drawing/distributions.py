"""Numbers and colours that differ from image to image, and paints made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Interval, Len, MinLen
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.ranges import NonNegative, Real
from synthgen.serialization import Rebuildable
from synthgen.transforms.base import ImageRandom
from synthgen.transforms.geometric import smooth_noise
from synthgen.transforms.raster import pixel_centres


class Distribution(Rebuildable, ABC):
    """Numbers that differ from image to image."""

    @abstractmethod
    def draw(self, random: ImageRandom, count: int) -> Tensor:
        """float32 ``(N, count)``, all independent."""


class Uniform(Distribution):
    """Anything from ``low`` to ``high``."""

    def __init__(self, low: Real, high: Real) -> None:
        if low > high:
            raise SynthgenError(f"A range goes from low to high, got [{low}, {high}].")
        self.low, self.high = low, high

    def draw(self, random: ImageRandom, count: int) -> Tensor:
        return self.low + (self.high - self.low) * random.uniform(count)


class Normal(Distribution):
    """The normal distribution cut off at three standard deviations."""

    def __init__(self, mean: Real, std: NonNegative) -> None:
        if std < 0:
            raise SynthgenError(f"std must be at least 0, got {std}.")
        self.mean, self.std = mean, std

    def draw(self, random: ImageRandom, count: int) -> Tensor:
        quantile = 0.00135 + 0.9973 * random.uniform(count).double()
        return (self.mean + self.std * torch.special.ndtri(quantile)).float()


class Choice(Distribution):
    """One of ``values``; ``weights`` say how often, None equally often."""

    def __init__(
        self,
        values: Annotated[Sequence[Real], MinLen(1)],
        weights: Sequence[NonNegative] | None = None,
    ) -> None:
        self.values = [float(value) for value in values]
        self.edges = cumulative(weights or [1.0] * len(self.values), len(self.values))

    def draw(self, random: ImageRandom, count: int) -> Tensor:
        return torch.tensor(self.values)[chosen(self.edges, random, count)]


Number = Real | Annotated[Sequence[Real], Len(2, 2)] | Distribution
"""A number, ``[low, high]`` for anything in between, or a distribution."""

Length = NonNegative | Annotated[Sequence[NonNegative], Len(2, 2)] | Distribution
"""A :data:`Number` that isn't negative."""

Point = Annotated[Sequence[Real], Len(2, 2)]
Lines = Annotated[Sequence[Annotated[Sequence[Point], MinLen(2)]], MinLen(1)]

Colour = Real | Annotated[Sequence[Number], Len(2, 3)] | Distribution
"""Levels from 0 to 255: a number or range of grey, or three of red, green and blue."""


def draw_number(value: Number, random: ImageRandom) -> Tensor:
    """float32 ``(N,)``."""
    return draw_numbers(value, random, 1)[:, 0]


def draw_numbers(value: Number, random: ImageRandom, count: int) -> Tensor:
    """float32 ``(N, count)``, independent."""
    if isinstance(value, Distribution):
        return value.draw(random, count)
    if isinstance(value, Sequence):
        if len(value) != 2:
            raise SynthgenError(f"A range has two ends, got {list(value)}.")
        low, high = value
        return low + (high - low) * random.uniform(count)
    return torch.full((len(random), count), float(value))


def draw_colour(colour: Colour, random: ImageRandom, channels: int) -> Tensor:
    """float32 ``(N, channels)`` in [-1, 1]; a colour in a grey image becomes luma (Rec. 601)."""
    if isinstance(colour, Sequence) and len(colour) == 3:
        levels = torch.stack([draw_number(part, random) for part in colour], dim=1)
    else:
        grey = draw_number(colour, random)  # type: ignore[arg-type]
        levels = grey[:, None].expand(-1, 3)
    if channels == 1:
        red, green, blue = levels.unbind(1)
        levels = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
    return (levels / 127.5 - 1).clamp(-1, 1)


def cumulative(weights: Sequence[float], count: int) -> Tensor:
    """float64 ``(count,)`` upper edges of the shares of [0, 1)."""
    if len(weights) != count or min(weights, default=-1) < 0 or sum(weights) <= 0:
        raise SynthgenError(
            f"weights must be {count} numbers from 0 up, not all 0, got {list(weights)}."
        )
    edges = torch.tensor(weights, dtype=torch.float64).cumsum(0)
    return edges / edges[-1]


def chosen(edges: Tensor, random: ImageRandom, count: int) -> Tensor:
    """int64 ``(N, count)`` positions, each as often as its share."""
    uniform = random.uniform(count).double()
    return torch.searchsorted(edges, uniform, right=True).clamp_max(len(edges) - 1)


# What shapes and backgrounds are filled with.


class Paint(Rebuildable, ABC):
    """Fills the whole image; a shape lets it through where the shape is."""

    @abstractmethod
    def fill(self, shape: tuple[int, int, int], random: ImageRandom) -> Tensor:
        """(channels, height, width) -> float32 in [-1, 1] that broadcasts to ``(N, C, H, W)``."""


class Plain(Paint):
    """One colour per image."""

    def __init__(self, colour: Colour) -> None:
        self.colour = colour

    def fill(self, shape: tuple[int, int, int], random: ImageRandom) -> Tensor:
        return draw_colour(self.colour, random, shape[0])[:, :, None, None]


class Gradient(Paint):
    """From one colour to another along a straight line; ``angle`` 0 goes downwards, 90 to the
    left, in degrees."""

    def __init__(self, start: Colour, end: Colour, angle: Number = 0.0) -> None:
        self.start, self.end, self.angle = start, end, angle

    def fill(self, shape: tuple[int, int, int], random: ImageRandom) -> Tensor:
        x, y = pixel_centres(*shape[1:])
        angle = torch.deg2rad(draw_number(self.angle, random).double())[:, None, None]
        start = draw_colour(self.start, random, shape[0])[:, :, None, None]
        end = draw_colour(self.end, random, shape[0])[:, :, None, None]
        across, down = x / x.max() - 0.5, y / y.max() - 0.5
        share = 0.5 + angle.cos().float() * down - angle.sin().float() * across
        return start + (end - start) * share.clamp(0, 1)[:, None]


class Texture(Paint):
    """Patches between two colours, of smooth noise with about ``cells`` patches to a side, and
    finer ones in them."""

    def __init__(
        self, start: Colour, end: Colour, cells: Annotated[int, Interval(ge=1, le=256)] = 4
    ) -> None:
        self.start, self.end, self.cells = start, end, cells

    def fill(self, shape: tuple[int, int, int], random: ImageRandom) -> Tensor:
        start = draw_colour(self.start, random, shape[0])[:, :, None, None]
        end = draw_colour(self.end, random, shape[0])[:, :, None, None]
        octaves = tuple(2**k * self.cells + 1 for k in range(3))
        return (
            start + (end - start) * smooth_noise(random, shape[1], shape[2], cells=octaves)[:, None]
        )
