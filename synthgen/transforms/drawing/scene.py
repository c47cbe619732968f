"""A scene: a background, things on it, and the rules that a drawing of a class obeys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.ranges import Count
from synthgen.serialization import Rebuildable
from synthgen.transforms.base import ImageRandom, Transform
from synthgen.transforms.drawing.distributions import (
    Distribution,
    Length,
    Number,
    Paint,
    draw_number,
)
from synthgen.transforms.drawing.placement import (
    Anywhere,
    Circles,
    Constraint,
    Frame,
    Placement,
    Surroundings,
)
from synthgen.transforms.drawing.shapes import Outline, Shape
from synthgen.transforms.raster import coverage, pixel_centres

MOST_COPIES = 64
Placed = tuple[list[Outline], Tensor]  # one copy: its parts' outlines, and where it is present


class Part(Rebuildable):
    """A shape in a paint."""

    def __init__(self, shape: Shape, paint: Paint) -> None:
        self.shape, self.paint = shape, paint


class Thing(Rebuildable):
    """Parts that are placed together, drawn in their order.

    Args:
        parts: in the thing's own coordinates: the origin in its middle, 1 its reach.
        placement: None: in the middle of the image, at four fifths of its shorter side.
        copies: a number or a range, rounded down: [0, 3.9] is none to three. A copy that finds no
            allowed place is left out, unless it is one of the least number.
        constraints: on the placement, all of which hold.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        placement: Placement | None = None,
        copies: Length = 1,
        constraints: Sequence[Constraint] = (),
    ) -> None:
        self.parts, self.placement = list(parts), placement or Anywhere()
        self.copies, self.constraints = copies, list(constraints)
        self.least, self.most = _ends(copies)


def _ends(copies: Number) -> tuple[int, int]:
    """The least and the greatest whole number that a draw of ``copies`` can give."""
    if isinstance(copies, Distribution):
        return 0, MOST_COPIES
    ends = [float(end) for end in (copies if isinstance(copies, Sequence) else [copies])]
    if not 0 <= ends[0] <= ends[-1] <= MOST_COPIES:
        raise SynthgenError(f"copies goes from 0 to {MOST_COPIES}, got {copies}.")
    return int(ends[0]), int(ends[-1])


class Scene(Rebuildable):
    """What images of one class show.

    Things are drawn in their order, so the last lies in front; they are placed from the front
    backwards, so the constraints of a thing see what lies in front of it. Each element has its own
    random numbers: changing one leaves the others where they are.

    Args:
        background: fills the image first.
        things: by name.
        rules: applied to the finished picture in their order; an entry that is None is skipped.
        at_most: things in one image; those further back are left out.
    """

    def __init__(
        self,
        background: Paint,
        things: Mapping[str, Thing],
        rules: Mapping[str, Transform | None] | None = None,
        at_most: Count | None = None,
    ) -> None:
        self.background, self.things = background, dict(things)
        self.rules, self.at_most = dict(rules or {}), at_most

    def draw(self, shape: tuple[int, int, int], seeds: Tensor) -> Tensor:
        """(channels, height, width) and int64 ``(N,)`` -> float32 ``(N, C, H, W)`` in [-1, 1]."""
        pixel = 1 / min(shape[1:])
        x, y = pixel_centres(*shape[1:])
        first = ImageRandom(seeds, stream=1)
        random = [first, *(first.at(2 + k) for k in range(len(self.things)))]
        copies = self._place((shape[2] * pixel, shape[1] * pixel), random[1:])
        canvas = self.background.fill(shape, random[0]).expand(len(seeds), *shape).clone()
        for position, (name, thing) in enumerate(self.things.items()):
            for outlines, present in copies[name]:
                for part, outline in zip(thing.parts, outlines, strict=True):
                    cover = coverage(part.shape.distance(outline, x, y), pixel)
                    cover *= present[:, None, None]
                    paint = part.paint.fill(shape, random[1 + position])
                    canvas += (paint - canvas) * cover[:, None]
        for position, rule in enumerate(self.rules.values()):
            if rule is not None:
                canvas = rule.apply(canvas, first.at(1 + len(random) + position), canvas)
        return canvas

    def _place(
        self, sides: tuple[float, float], random: Sequence[ImageRandom]
    ) -> dict[str, list[Placed]]:
        """The copies of each thing, placed from the front backwards."""
        circles: dict[str, list[Circles]] = {}
        copies: dict[str, list[Placed]] = {name: [] for name in self.things}
        room = torch.full((len(random[0]) if random else 0,), self.at_most or 2**31)
        for (name, thing), numbers in reversed(list(zip(self.things.items(), random, strict=True))):
            wanted = draw_number(thing.copies, numbers)
            for copy in range(thing.most):
                outlines = [part.shape.outline(numbers) for part in thing.parts]
                frame, found = thing.placement.frame(
                    outlines, numbers, Surroundings(sides, circles), thing.constraints
                )
                asked = (copy + 1 <= wanted) & (room > 0)
                self._require_found(name, thing, copy, asked & ~found)
                present = asked & found
                room = room - present.int()
                circles.setdefault(name, []).append(_circles(frame, present))
                copies[name].append(([frame.place(o) for o in outlines], present.float()))
        return copies

    @staticmethod
    def _require_found(name: str, thing: Thing, copy: int, missing: Tensor) -> None:
        if copy < thing.least and bool(missing.any()):
            raise SynthgenError(
                f"No place for {name!r} satisfies its constraints in some image.\n"
                "Give it more room, a smaller size, or copies that may be fewer: [0, 1.9]."
            )


def _circles(frame: Frame, present: Tensor) -> Circles:
    return Circles(frame.shift, frame.scale, present)
