"""Attributes: what differs between images of every class, such as weather, and may be fixed."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.ranges import NonNegative, Share
from synthgen.serialization import Rebuildable
from synthgen.transforms.base import ImageRandom, Transform
from synthgen.transforms.drawing.distributions import chosen, cumulative


class Attribute(Rebuildable):
    """One of several options per image, each a rule, or None for nothing.

    Args:
        options: by name.
        weights: how often each option comes; None equally often. An option without one gets 0.
        only: the name of the one option that every image gets; None draws it per image.
        strength: of the rule that an image gets; None leaves it to the rule's own range.
    """

    def __init__(
        self,
        options: Mapping[str, Transform | None],
        weights: Mapping[str, NonNegative] | None = None,
        only: str | None = None,
        strength: Share | None = None,
    ) -> None:
        self.names = list(options)
        for name in [*(weights or {}), *([only] if only is not None else [])]:
            self._require(name)
        self.rules = [
            rule if rule is None or strength is None else rule.at(strength)
            for rule in options.values()
        ]
        shares = [1.0 if weights is None else float(weights.get(name, 0)) for name in self.names]
        if only is not None:
            shares = [float(name == only) for name in self.names]
        self.edges = cumulative(shares, len(shares))

    def fixed(self, option: str) -> Attribute:
        """The same with ``option`` for every image.

        Raises:
            SynthgenError: there is no such option.
        """
        self._require(option)
        clone = copy.copy(self)
        clone.edges = cumulative([float(name == option) for name in self.names], len(self.names))
        return clone

    def _require(self, option: str) -> None:
        if option not in self.names:
            raise SynthgenError(
                f"There is no option {option!r}; there are {', '.join(self.names)}."
            )

    def choose(self, seeds: Tensor, stream: int) -> Tensor:
        """int64 ``(N,)`` positions of the options that images with these seeds get."""
        return chosen(self.edges, ImageRandom(seeds, stream), 1)[:, 0]

    def apply(self, images: Tensor, seeds: Tensor, stream: int) -> Tensor:
        """float32 ``(N, C, H, W)`` in [-1, 1] -> the same, changed; uses ``stream`` and the one
        after it."""
        options = self.choose(seeds, stream)
        out = images.clone()
        for position, rule in enumerate(self.rules):
            rows = (options == position).nonzero()[:, 0]
            if rule is not None and len(rows):
                random = ImageRandom(seeds[rows], stream + 1)
                out[rows] = rule.apply(images[rows], random, images[rows])
        return out
