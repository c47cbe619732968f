"""What shapes and backgrounds are filled with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from synthgen.rules.drawing.distributions import Colour, Number, draw_colour, draw_number
from synthgen.rules.randomness import ImageRandom
from synthgen.rules.raster import pixel_centres
from synthgen.rules.textures import smooth_noise
from synthgen.spec import Rebuildable


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
