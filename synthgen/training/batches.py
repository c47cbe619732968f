"""Batches of real images as a pure function of the run's seed and the position in it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from synthgen.seeds import step_generator
from synthgen.types import LabelledImages

ORDER = 1  # the stream of random numbers that shuffles; others draw noise


class Batches(IterableDataset):
    """An endless stream of ``(images uint8 (B, C, H, W), labels int64 (B,))``.

    Every pass over the data is shuffled by (seed, pass). Nothing is stored between batches: a
    resumed run continues at ``first_image`` with exactly the batches that would have followed.
    With several processes, each takes its own slice of every global batch.

    Args:
        real: the training images, in memory.
        batch_size: images per step over all processes; sets smaller than a batch are repeated.
        first_image: how many images were seen before (a multiple of ``batch_size``).
    """

    def __init__(
        self,
        real: LabelledImages,
        batch_size: int,
        seed: int,
        *,
        first_image: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size % world_size:
            raise ValueError(f"batch_size {batch_size} is no multiple of {world_size} processes")
        self.real, self.batch_size, self.seed = real, batch_size, seed
        self.first_image, self.rank, self.world_size = first_image, rank, world_size

    def indices(self, first: int) -> Tensor:
        """Positions in the data of images number ``first`` … ``first + batch_size - 1``."""
        count, parts, needed = len(self.real), [], self.batch_size
        position = first
        while needed:
            number, offset = divmod(position, count)
            order = self._order(number)[offset : offset + needed]
            parts.append(order)
            needed -= len(order)
            position += len(order)
        return torch.cat(parts)

    def _order(self, number: int) -> Tensor:
        if getattr(self, "_cached", (None, None))[0] != number:
            generator = step_generator(self.seed, ORDER, number)
            self._cached = (number, torch.randperm(len(self.real), generator=generator))
        return self._cached[1]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        position, share = self.first_image, self.batch_size // self.world_size
        while True:
            index = self.indices(position)[self.rank * share : (self.rank + 1) * share]
            yield self.real.images[index], self.real.labels[index]
            position += self.batch_size
