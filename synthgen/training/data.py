"""In which order and batches real images are shown: pure functions of the run's seed and the
position."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from synthgen.seeds import Stream, step_generator
from synthgen.types import LabelledImages

CLASSES, WITHIN = 2**20, 2**20 + 1  # what is shuffled, where it isn't the whole data


class Order(ABC):
    """Which image comes when. Whatever is kept between calls is a cache: a resumed run asks a new
    object and gets the same answer."""

    @abstractmethod
    def positions(self, labels: Tensor, seed: int, first: int, count: int) -> Tensor:
        """int64 ``(count,)``: positions in the data of the stream's images number ``first`` and
        following, for a run with this ``seed`` on data with these int64 ``labels`` ``(N,)``."""

    def shown(self, labels: Tensor, seed: int, seen: int) -> Tensor:
        """int64 ``(M,)``: labels in the shares in which a run shows them, once it has ``seen`` so
        many images. Here those of its last images, as many as the data has."""
        first = max(0, seen - len(labels))
        return labels[self.positions(labels, seed, first, len(labels))]


class Shuffled(Order):
    """Every pass shows each image once, in a new order: classes come as often as they are."""

    def __init__(self) -> None:
        self._pass: tuple[tuple[int, int, int], Tensor] | None = None

    def shown(self, labels: Tensor, seed: int, seen: int) -> Tensor:
        return labels

    def positions(self, labels: Tensor, seed: int, first: int, count: int) -> Tensor:
        parts, position, end = [], first, first + count
        while position < end:
            number, offset = divmod(position, len(labels))
            part = self._order(len(labels), seed, number)[offset : offset + end - position]
            parts.append(part)
            position += len(part)
        return torch.cat(parts)

    def _order(self, count: int, seed: int, number: int) -> Tensor:
        key = (count, seed, number)
        if self._pass is None or self._pass[0] != key:
            generator = step_generator(seed, Stream.ORDER, number)
            self._pass = (key, torch.randperm(count, generator=generator))
        return self._pass[1]


class ClassBalanced(Order):
    """All classes equally often, however many images they have.

    The stream is made of rounds that show each class once, in a new order; so any stretch of it
    has numbers per class that differ by two at most. Within a class, every pass shows each image
    once, in a new order.
    """

    def __init__(self) -> None:
        self._labels: Tensor | None = None
        self._seed = 0
        self._of_class: list[Tensor] = []
        self._passes: dict[int, tuple[int, Tensor]] = {}

    def shown(self, labels: Tensor, seed: int, seen: int) -> Tensor:
        return labels.unique()

    def positions(self, labels: Tensor, seed: int, first: int, count: int) -> Tensor:
        self._look_at(labels, seed)
        classes, found = len(self._of_class), []
        position, end = first, first + count
        while position < end:
            number, offset = divmod(position, classes)
            generator = step_generator(seed, Stream.ORDER, CLASSES, number)
            turns = torch.randperm(classes, generator=generator)[offset : offset + end - position]
            found += [self._image(turn, seed, number) for turn in turns.tolist()]
            position += len(turns)
        return torch.stack(found)

    def _look_at(self, labels: Tensor, seed: int) -> None:
        if self._labels is not labels or self._seed != seed:
            present = labels.unique().tolist()
            self._of_class = [(labels == label).nonzero()[:, 0] for label in present]
            self._labels, self._seed, self._passes = labels, seed, {}

    def _image(self, turn: int, seed: int, number: int) -> Tensor:
        """The image number ``number`` of the class that comes at ``turn``."""
        members = self._of_class[turn]
        which, offset = divmod(number, len(members))
        if self._passes.get(turn, (None,))[0] != which:
            generator = step_generator(seed, Stream.ORDER, WITHIN, turn, which)
            order = members[torch.randperm(len(members), generator=generator)]
            self._passes[turn] = (which, order)
        return self._passes[turn][1][offset]


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
