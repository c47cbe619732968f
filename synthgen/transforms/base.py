"""A transform changes an image without changing its class, more or less strongly, by random
numbers that follow from the image's seed alone."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.ranges import Share
from synthgen.seeds import image_rng
from synthgen.serialization import Rebuildable

# Random numbers of many images at once, each row a function of its image's seed alone.

STREAMS_PER_RULE = 2**16
POOL = 128  # uniform numbers fetched at a time; rekeying the generator costs more than drawing them


class ImageRandom:
    """Successive random numbers for a batch of images.

    Row ``i`` of every result depends on ``seeds[i]``, ``stream`` and the earlier calls alone, so an
    image is the same in every batch. Give each rule a stream of its own.
    """

    def __init__(self, seeds: Tensor | Sequence[int], stream: int = 0) -> None:
        self.keys = [int(seed) % 2**64 for seed in seeds]
        self.next_stream = stream * STREAMS_PER_RULE
        self.pool = torch.empty(len(self.keys), 0)
        self.generator = image_rng(0)  # rekeyed for each image, which is faster than a new one

    def at(self, stream: int) -> ImageRandom:
        """Another stream of the same images."""
        other = copy.copy(self)
        other.next_stream, other.pool = stream * STREAMS_PER_RULE, self.pool[:, :0]
        return other

    def of(self, rows: Tensor) -> ImageRandom:
        """The same numbers for some of the images, int64 ``(M,)``, from here on."""
        other = copy.copy(self)
        other.keys, other.pool = [self.keys[row] for row in rows.tolist()], self.pool[rows]
        return other

    def __len__(self) -> int:
        return len(self.keys)

    def uniform(self, size: int) -> Tensor:
        """float32 ``(N, size)`` in [0, 1)."""
        if size > self.pool.shape[1]:
            out = np.empty((len(self.keys), max(size, POOL)), dtype=np.float32)
            for row, generator in enumerate(self._generators()):
                generator.random(out.shape[1], dtype=np.float32, out=out[row])
            self.pool = torch.from_numpy(out)
        taken, self.pool = self.pool[:, :size], self.pool[:, size:]
        return taken.contiguous()

    def normal(self, size: int) -> Tensor:
        """float32 ``(N, size)`` from N(0, 1)."""
        out = np.empty((len(self.keys), size), dtype=np.float32)
        for row, generator in enumerate(self._generators()):
            generator.standard_normal(size, dtype=np.float32, out=out[row])
        return torch.from_numpy(out)

    def _generators(self) -> Iterator[np.random.Generator]:
        """``image_rng(seed, stream)`` for each image, without building a generator per image."""
        state: Any = self.generator.bit_generator.state
        state["state"]["counter"][:], state["state"]["key"][1] = 0, self.next_stream
        state["buffer_pos"], state["has_uint32"], state["uinteger"] = 4, 0, 0  # as if new
        self.next_stream += 1
        for key in self.keys:
            state["state"]["key"][0] = key
            self.generator.bit_generator.state = state
            yield self.generator


class Transform(Rebuildable, ABC):
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

    def at(self, strength: float) -> Transform:
        """The same rule at one strength, on every image."""
        other = copy.copy(self)
        Transform.__init__(other, strength)
        return other

    @abstractmethod
    def combine(
        self, images: Tensor, partners: Tensor, strength: Tensor, random: ImageRandom
    ) -> Tensor:
        """float32 ``(N, C, H, W)`` images and partners in [-1, 1], float32 ``(N,)`` strength ->
        ``(N, C, H, W)``; values outside [-1, 1] are clamped afterwards."""


class SoloTransform(Transform):
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
