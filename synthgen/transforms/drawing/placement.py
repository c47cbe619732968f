"""Where a thing lies: position, size, direction, and what these have to obey."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synthgen.ranges import Real
from synthgen.serialization import Rebuildable
from synthgen.transforms.base import ImageRandom
from synthgen.transforms.drawing.distributions import Length, Number, draw_number, draw_numbers
from synthgen.transforms.drawing.shapes import Outline

CANDIDATES = 32  # positions tried for a thing that has constraints


@dataclass(frozen=True)
class Circles:
    """Where things lie already: centres ``(N, 2)`` and reach ``(N,)``, and in which images they
    are at all, bool ``(N,)``."""

    centre: Tensor
    reach: Tensor
    present: Tensor


@dataclass(frozen=True)
class Surroundings:
    """The images' width and height, in units of the shorter side, and what lies there already, by
    name."""

    sides: tuple[float, float]
    placed: Mapping[str, Sequence[Circles]]


@dataclass(frozen=True)
class Frame:
    """From a thing's own coordinates to the image's: ``matrix (N, 2, 2)``, then ``shift (N, 2)``;
    ``scale (N,)`` is the size of 1."""

    matrix: Tensor
    shift: Tensor
    scale: Tensor

    def place(self, outline: Outline) -> Outline:
        points = transformed(self.matrix, outline.points) + self.shift[:, None]
        return Outline(points, outline.radius * self.scale, outline.weights)


class Constraint(Rebuildable, ABC):
    """Says which positions are allowed, given what was placed before."""

    @abstractmethod
    def allows(self, position: Tensor, reach: Tensor, around: Surroundings) -> Tensor:
        """``(N, T, 2)`` candidates of things of ``reach (N, 1)`` -> bool ``(N, T)``."""


class Inside(Constraint):
    """Wholly in the image, ``margin`` away from its edges (negative: may stick out so far)."""

    def __init__(self, margin: Real = 0.0) -> None:
        self.margin = margin

    def allows(self, position: Tensor, reach: Tensor, around: Surroundings) -> Tensor:
        nearest = (reach + self.margin)[..., None]
        far = torch.tensor(around.sides) - nearest
        return ((position >= nearest) & (position <= far)).all(dim=2)


class Apart(Constraint):
    """Not overlapping: ``gap`` between its circle and those of the things named in ``others``, None
    for all that lie in front of it."""

    def __init__(self, gap: Real = 0.0, others: Sequence[str] | None = None) -> None:
        self.gap, self.others = gap, others

    def allows(self, position: Tensor, reach: Tensor, around: Surroundings) -> Tensor:
        allowed = torch.ones(position.shape[:2], dtype=torch.bool)
        for circle in _named(around.placed, self.others):
            least = reach + circle.reach[:, None] + self.gap
            squared = (position - circle.centre[:, None]).square().sum(dim=2)
            allowed &= (squared >= least * least) | ~circle.present[:, None]
        return allowed


class Within(Constraint):
    """Its circle wholly within the circle of one of the things called ``other``."""

    def __init__(self, other: str) -> None:
        self.other = other

    def allows(self, position: Tensor, reach: Tensor, around: Surroundings) -> Tensor:
        allowed = torch.zeros(position.shape[:2], dtype=torch.bool)
        for circle in _named(around.placed, [self.other]):
            most = circle.reach[:, None] - reach
            squared = (position - circle.centre[:, None]).square().sum(dim=2)
            allowed |= (squared <= most * most) & (most >= 0) & circle.present[:, None]
        return allowed


def _named(placed: Mapping[str, Sequence[Circles]], names: Sequence[str] | None) -> list[Circles]:
    wanted = list(placed) if names is None else [name for name in names if name in placed]
    return [circle for name in wanted for circle in placed[name]]


class Placement(Rebuildable, ABC):
    """Gives each image's thing its frame."""

    @abstractmethod
    def frame(
        self,
        outlines: Sequence[Outline],
        random: ImageRandom,
        around: Surroundings,
        constraints: Sequence[Constraint],
    ) -> tuple[Frame, Tensor]:
        """The frame, and bool ``(N,)``: was an allowed position found."""


class Anywhere(Placement):
    """Uniformly in a region. All lengths are in units of the image's shorter side.

    Args:
        x, y: of the middle; 0, 0 is the upper left corner.
        size: what 1 in the thing's own coordinates becomes.
        angle: degrees, clockwise.
        slant: shift to the right per unit of height, as in italics.
        aspect: width divided by height, relative to the shape as given.
    """

    def __init__(
        self,
        x: Number = 0.5,
        y: Number = 0.5,
        size: Length = 0.4,
        angle: Number = 0.0,
        slant: Number = 0.0,
        aspect: Length = 1.0,
    ) -> None:
        self.x, self.y, self.size = x, y, size
        self.angle, self.slant, self.aspect = angle, slant, aspect

    def frame(
        self,
        outlines: Sequence[Outline],
        random: ImageRandom,
        around: Surroundings,
        constraints: Sequence[Constraint],
    ) -> tuple[Frame, Tensor]:
        size = draw_number(self.size, random)
        matrix = linear_map(self.angle, self.slant, self.aspect, random) * size[:, None, None]
        tries = CANDIDATES if constraints else 1
        drawn = [draw_numbers(self.x, random, tries), draw_numbers(self.y, random, tries)]
        position = torch.stack(drawn, dim=2)  # (N, T, 2)
        allowed = torch.ones(position.shape[:2], dtype=torch.bool)
        for constraint in constraints:
            allowed &= constraint.allows(position, size[:, None], around)
        first = allowed.int().argmax(dim=1)
        shift = position[torch.arange(len(position)), first]
        return Frame(matrix, shift, size), allowed.any(dim=1)


class FitToBox(Placement):
    """As scanned digits are prepared (LeCun et al. 1998): scaled so that the outline with its
    thickness just fits into a square box, and moved so that its centre of mass is the image's
    middle. Constraints don't apply.

    Args:
        box: side of the square, in units of the image's shorter side.
        angle, slant, aspect: before scaling, as for :class:`Anywhere`.
        x, y: how far from the middle the centre of mass ends up.
    """

    def __init__(
        self,
        box: Length = 0.714,
        angle: Number = 0.0,
        slant: Number = 0.0,
        aspect: Length = 1.0,
        x: Number = 0.0,
        y: Number = 0.0,
    ) -> None:
        self.box, self.angle, self.slant, self.aspect = box, angle, slant, aspect
        self.x, self.y = x, y

    def frame(
        self,
        outlines: Sequence[Outline],
        random: ImageRandom,
        around: Surroundings,
        constraints: Sequence[Constraint],
    ) -> tuple[Frame, Tensor]:
        matrix = linear_map(self.angle, self.slant, self.aspect, random)
        points = transformed(matrix, torch.cat([o.points for o in outlines], dim=1))
        weights = torch.cat([o.weights for o in outlines], dim=1)[..., None]
        radius = torch.stack([o.radius for o in outlines]).amax(dim=0)
        extent = (points.amax(dim=1) - points.amin(dim=1)).amax(dim=1) + 2 * radius
        scale = draw_number(self.box, random) / extent.clamp_min(1e-6)
        # In float64 the rounding of a sum, whatever its order, is lost in float32.
        mass = (points.double() * weights).sum(dim=1) / weights.double().sum(dim=1).clamp_min(1e-9)
        middle = torch.tensor(around.sides) / 2
        off = torch.stack([draw_number(self.x, random), draw_number(self.y, random)], dim=1)
        shift = middle + off - mass.float() * scale[:, None]
        found = torch.ones(len(random), dtype=torch.bool)
        return Frame(matrix * scale[:, None, None], shift, scale), found


def linear_map(angle: Number, slant: Number, aspect: Number, random: ImageRandom) -> Tensor:
    """``(N, 2, 2)``: stretched, then slanted, then turned; areas stay as they are but for slant."""
    turn = torch.deg2rad(draw_number(angle, random).double())
    lean = draw_number(slant, random).double()
    wide = draw_number(aspect, random).double().sqrt()
    cos, sin = turn.cos(), turn.sin()
    zero = torch.zeros_like(wide)
    shape = torch.stack([torch.stack([wide, -lean / wide], 1), torch.stack([zero, 1 / wide], 1)], 1)
    rotation = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    return (rotation[..., None] * shape[:, None]).sum(dim=2).float()


def transformed(matrix: Tensor, points: Tensor) -> Tensor:
    """``(N, 2, 2)``, ``(N, P, 2)`` -> ``(N, P, 2)``, elementwise so that no batch changes it."""
    x, y = points[..., 0], points[..., 1]
    a, b, c, d = (value[:, None] for value in matrix.flatten(1).unbind(1))
    return torch.stack([a * x + b * y, c * x + d * y], dim=2)
