"""Numbers and colours that differ from image to image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Len, MinLen
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.ranges import NonNegative, Real
from synthgen.rules.randomness import ImageRandom
from synthgen.spec import Rebuildable


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
