"""Shapes, in a frame of their own: the origin in the middle, 1 the reach in every direction."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval, MinLen
from torch import Tensor

from synthgen.ranges import NonNegative
from synthgen.serialization import Rebuildable
from synthgen.transforms.base import ImageRandom
from synthgen.transforms.drawing.distributions import (
    Length,
    Lines,
    Number,
    Point,
    chosen,
    cumulative,
    draw_number,
)
from synthgen.transforms.raster import nearest_segment, polygon_distance


@dataclass(frozen=True)
class Outline:
    """A shape as it came out for each image.

    Attributes:
        points: float32 ``(N, P, 2)``, x to the right and y down.
        radius: float32 ``(N,)``, how far the shape goes beyond its points.
        weights: float32 ``(N, P)``, how much of the shape lies at each point.
    """

    points: Tensor
    radius: Tensor
    weights: Tensor


class Shape(Rebuildable, ABC):
    """Draws an outline for each image and measures the distance to it."""

    @abstractmethod
    def outline(self, random: ImageRandom) -> Outline: ...

    @abstractmethod
    def distance(self, outline: Outline, x: Tensor, y: Tensor) -> Tensor:
        """Signed distance ``(N, H, W)`` of the pixels at ``x`` and ``y``, negative inside."""


class Disc(Shape):
    """A filled circle."""

    def __init__(self, radius: Length = 1.0, x: Number = 0.0, y: Number = 0.0) -> None:
        self.radius, self.x, self.y = radius, x, y

    def outline(self, random: ImageRandom) -> Outline:
        centre = torch.stack([draw_number(self.x, random), draw_number(self.y, random)], dim=1)
        return evenly(centre[:, None], draw_number(self.radius, random))

    def distance(self, outline: Outline, x: Tensor, y: Tensor) -> Tensor:
        centre = outline.points[:, 0, :, None, None]
        squared = (x - centre[:, 0]).square() + (y - centre[:, 1]).square()
        return squared.sqrt() - outline.radius[:, None, None]


class Filled(Shape):
    """A closed polygon; ``rounding`` is the radius of its corners, which lie that much outside."""

    rounding: Number = 0.0

    @abstractmethod
    def corners(self, random: ImageRandom) -> Tensor:
        """float32 ``(N, P, 2)``."""

    def outline(self, random: ImageRandom) -> Outline:
        return evenly(self.corners(random), draw_number(self.rounding, random))

    def distance(self, outline: Outline, x: Tensor, y: Tensor) -> Tensor:
        return polygon_distance(outline.points, x, y) - outline.radius[:, None, None]


class Polygon(Filled):
    """Corners ``[x, y]`` in order; ``jitter`` is the standard deviation by which each moves."""

    def __init__(
        self,
        points: Annotated[Sequence[Point], MinLen(3)],
        jitter: NonNegative = 0.0,
        rounding: Length = 0.0,
    ) -> None:
        self.points, self.jitter, self.rounding = points, jitter, rounding

    def corners(self, random: ImageRandom) -> Tensor:
        return jittered(torch.tensor(self.points, dtype=torch.float32), self.jitter, random)


class RegularPolygon(Filled):
    """``corners`` on a circle, the first one straight up, turned clockwise by ``turn`` degrees."""

    def __init__(
        self,
        corners: Annotated[int, Interval(ge=3, le=1_000)],
        radius: Length = 1.0,
        turn: Number = 0.0,
        rounding: Length = 0.0,
    ) -> None:
        self.number, self.radius, self.turn, self.rounding = corners, radius, turn, rounding

    def corners(self, random: ImageRandom) -> Tensor:
        turn = torch.deg2rad(draw_number(self.turn, random).double())[:, None]
        angle = 2 * math.pi * torch.arange(self.number, dtype=torch.float64) / self.number + turn
        unit = torch.stack([angle.sin(), -angle.cos()], dim=2).float()
        return unit * draw_number(self.radius, random)[:, None, None]


class Rectangle(Filled):
    """Upright, ``width`` by ``height`` about (``x``, ``y``)."""

    def __init__(
        self,
        width: Length,
        height: Length,
        x: Number = 0.0,
        y: Number = 0.0,
        rounding: Length = 0.0,
    ) -> None:
        self.width, self.height, self.x, self.y = width, height, x, y
        self.rounding = rounding

    def corners(self, random: ImageRandom) -> Tensor:
        drawn = [draw_number(v, random) for v in (self.x, self.y, self.width, self.height)]
        x, y, right, down = drawn[0], drawn[1], drawn[2] / 2, drawn[3] / 2
        signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        points = [torch.stack([x + i * right, y + j * down], dim=1) for i, j in signs]
        return torch.stack(points, dim=1)


class Strokes(Shape):
    """Lines of a pen through control points: one of several ``variants`` per image, each a list of
    lines, each a list of ``[x, y]``.

    A line goes smoothly through its points (Catmull & Rom 1974); a corner is where one line ends
    and another begins. Points with equal coordinates stay together however they move.

    Args:
        thickness: of the pen.
        jitter: standard deviation by which each control point moves.
        weights: how often each variant comes, None equally often.
    """

    def __init__(
        self,
        variants: Annotated[Sequence[Lines], MinLen(1)],
        thickness: Length = 0.15,
        jitter: NonNegative = 0.0,
        weights: Sequence[NonNegative] | None = None,
    ) -> None:
        self.thickness, self.jitter = thickness, jitter
        self.drawings = [Drawing([[tuple(p) for p in line] for line in v]) for v in variants]
        self.edges = cumulative(weights or [1.0] * len(self.drawings), len(self.drawings))

    def outline(self, random: ImageRandom) -> Outline:
        picked = chosen(self.edges, random, 1)[:, 0]
        radius = draw_number(self.thickness, random) / 2
        noise = random.normal(2 * max(len(d.points) for d in self.drawings)) * self.jitter
        most = max(d.segments for d in self.drawings)
        ends = torch.empty(len(random), most, 2, 2)
        for position, drawing in enumerate(self.drawings):
            rows = (picked == position).nonzero()[:, 0]
            points = drawing.points + noise[rows, : drawing.points.numel()].view(
                -1, *drawing.points.shape
            )
            drawn = drawing.curves(points)
            ends[rows, : drawing.segments] = drawn
            ends[rows, drawing.segments :] = drawn[:, -1:]  # repeated: drawn over itself
        length = (ends[:, :, 1] - ends[:, :, 0]).square().sum(dim=2).sqrt()
        for position, drawing in enumerate(self.drawings):
            length[:, drawing.segments :][picked == position] = 0
        return Outline(ends.flatten(1, 2), radius, length.repeat_interleave(2, dim=1))

    def distance(self, outline: Outline, x: Tensor, y: Tensor) -> Tensor:
        nearest = nearest_segment(outline.points[:, 0::2], outline.points[:, 1::2], x, y)
        return nearest - outline.radius[:, None, None]


STEPS = 5  # straight pieces between two control points


class Drawing:
    """One variant: its distinct points, and which of them weigh how much in each piece's ends."""

    def __init__(self, lines: list[list[tuple[float, ...]]]) -> None:
        distinct = list(dict.fromkeys(point for line in lines for point in line))
        self.points = torch.tensor(distinct, dtype=torch.float32)  # (P, 2)
        index, weights = [], []
        for line in lines:
            numbers = [distinct.index(point) for point in line]
            line_index, line_weights = catmull_rom(numbers)
            index.append(torch.stack([line_index[:-1], line_index[1:]], dim=1))
            weights.append(torch.stack([line_weights[:-1], line_weights[1:]], dim=1))
        self.index, self.weights = torch.cat(index), torch.cat(weights)  # (S, 2, 4)
        self.segments = len(self.index)

    def curves(self, points: Tensor) -> Tensor:
        """``(N, P, 2)`` control points -> ``(N, S, 2, 2)`` ends of the pieces."""
        total = torch.zeros(len(points), self.segments, 2, 2)
        for k in range(4):
            total += points[:, self.index[..., k]] * self.weights[..., k, None]
        return total


def catmull_rom(numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Positions and weights, both ``(samples, 4)``, of the uniform Catmull-Rom spline through the
    numbered points; a line of two points is straight."""
    steps = 1 if len(numbers) == 2 else STEPS
    index, weights = [], []
    for span in range(len(numbers) - 1):
        near = [min(max(span + k, 0), len(numbers) - 1) for k in (-1, 0, 1, 2)]
        last = span == len(numbers) - 2
        for step in range(steps + last):
            t = step / steps
            index.append([numbers[k] for k in near])
            weights.append(
                [
                    (-t + 2 * t**2 - t**3) / 2,
                    (2 - 5 * t**2 + 3 * t**3) / 2,
                    (t + 4 * t**2 - 3 * t**3) / 2,
                    (t**3 - t**2) / 2,
                ]
            )
    return torch.tensor(index), torch.tensor(weights)


def jittered(points: Tensor, jitter: float, random: ImageRandom) -> Tensor:
    """``(P, 2)`` -> ``(N, P, 2)``, each moved on its own."""
    points = points.expand(len(random), -1, -1)
    if jitter == 0:
        return points
    return points + jitter * random.normal(points[0].numel()).view_as(points)


def evenly(points: Tensor, radius: Tensor) -> Outline:
    return Outline(points, radius, torch.ones(points.shape[:2]))
