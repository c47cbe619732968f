"""A rule changes an image without changing its class, more or less strongly."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.ranges import Share
from synthgen.rules.randomness import ImageRandom
from synthgen.spec import Rebuildable


class Rule(Rebuildable, ABC):
    """A change of strength 0 (none) to 1 (as strong as the rule goes), drawn for each image.

    Args:
        strength: one number, or the two ends of a range from which each image draws uniformly.
        probability: share of the images that are changed at all.
    """

    def __init__(self, strength: Share | Sequence[Share] = 1.0, probability: Share = 1.0) -> None:
        ends = [float(s) for s in (strength if isinstance(strength, Sequence) else [strength] * 2)]
        if len(ends) != 2 or not 0.0 <= ends[0] <= ends[1] <= 1.0:
            raise SynthgenError(
                f"strength of {type(self).__name__} is {strength!r}; it goes from 0 to 1.\n"
                "Give one number, or a range such as [0.2, 0.6]."
            )
        if not 0.0 <= probability <= 1.0:
            raise SynthgenError(
                f"probability of {type(self).__name__} is {probability}; it goes from 0 to 1.\n"
                "Use 1 to change every image."
            )
        self.weakest, self.strongest, self.probability = ends[0], ends[1], probability

    def apply(self, images: Tensor, random: ImageRandom, partners: Tensor) -> Tensor:
        """float32 ``(N, C, H, W)`` in [-1, 1] -> the same, changed. ``partners`` are other images
        of the same classes, which some rules mix in."""
        chance = random.uniform(2)
        strength = self.weakest + (self.strongest - self.weakest) * chance[:, 0]
        rows = ((chance[:, 1] < self.probability) & (strength > 0)).nonzero()[:, 0]
        out = images.clone()
        if len(rows):  # most rules leave most images alone, and a change is work
            out[rows] = self.combine(images[rows], partners[rows], strength[rows], random.of(rows))
        return out.clamp_(-1, 1)

    def at(self, strength: float) -> Rule:
        """The same rule at one strength, on every image."""
        other = copy.copy(self)
        Rule.__init__(other, strength)
        return other

    @abstractmethod
    def combine(
        self, images: Tensor, partners: Tensor, strength: Tensor, random: ImageRandom
    ) -> Tensor:
        """float32 ``(N, C, H, W)`` images and partners in [-1, 1], float32 ``(N,)`` strength ->
        ``(N, C, H, W)``; values outside [-1, 1] are clamped afterwards."""


class SoloRule(Rule):
    """A rule that looks at one image only."""

    def combine(
        self, images: Tensor, partners: Tensor, strength: Tensor, random: ImageRandom
    ) -> Tensor:
        return self.change(images, strength, random)

    @abstractmethod
    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        """As :meth:`combine`, without partners."""


def per_image(values: Tensor) -> Tensor:
    """``(N,)`` -> ``(N, 1, 1, 1)``, to be broadcast over images."""
    return values[:, None, None, None]
