"""Random numbers of many images at once, each row a function of its image's seed alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthgen.seeds import image_rng

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
