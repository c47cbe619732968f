"""Batches of real images as a pure function of the run's seed and the position in it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from torch.utils.data import IterableDataset

from synthgen.training.orders import Order, Shuffled
from synthgen.types import LabelledImages


class Batches(IterableDataset):
    """An endless stream of ``(images uint8 (B, C, H, W), labels int64 (B,))``.

    Nothing is stored between batches: a resumed run continues at ``first_image`` with exactly the
    batches that would have followed. With several processes, each takes its own slice of every
    global batch.

    Args:
        real: the training images, in memory.
        batch_size: images per step over all processes; sets smaller than a batch are repeated.
        order: in which images come; None shuffles every pass.
        first_image: how many images were seen before (a multiple of ``batch_size``).
    """

    def __init__(
        self,
        real: LabelledImages,
        batch_size: int,
        seed: int,
        *,
        order: Order | None = None,
        first_image: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size % world_size:
            raise ValueError(f"batch_size {batch_size} is no multiple of {world_size} processes")
        self.real, self.batch_size, self.seed = real, batch_size, seed
        self.order = order or Shuffled()
        self.first_image, self.rank, self.world_size = first_image, rank, world_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        position, share = self.first_image, self.batch_size // self.world_size
        labels = self.real.labels
        while True:
            whole = self.order.positions(labels, self.seed, position, self.batch_size)
            index = whole[self.rank * share : (self.rank + 1) * share]
            yield self.real.images[index], labels[index]
            position += self.batch_size
