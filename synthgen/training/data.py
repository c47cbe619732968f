"""In which order and batches real images are shown: pure functions of the run's seed and the
position."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from synthgen.data.stream.images import StreamedImages
from synthgen.data.stream.storage import LostImageError
from synthgen.ranges import Count
from synthgen.seeds import Stream, step_generator
from synthgen.types import LabelledImages

CLASSES, WITHIN, RUN_ORDER, WINDOWS = (2**20 + k for k in range(4))  # what else is shuffled
RUNS = 16  # of neighbours, in a window


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


class WindowShuffled(Order):
    """Every pass shows each image once, in a new order that needs memory for a window of images,
    and reads few places at a time: runs of neighbours come in another order, and the images of
    several runs, a window, are shuffled.

    Args:
        window: images that are shuffled together; 16 runs.
    """

    def __init__(self, window: Count) -> None:
        self.window = window
        self.run = max(1, window // RUNS)
        self._pass: tuple[tuple[int, int, int], Tensor, int] | None = None
        self._kept: tuple[tuple[int, ...], Tensor] | None = None

    def shown(self, labels: Tensor, seed: int, seen: int) -> Tensor:
        return labels

    def positions(self, labels: Tensor, seed: int, first: int, count: int) -> Tensor:
        parts, position, end = [], first, first + count
        while position < end:
            number, within = divmod(position, len(labels))
            window, offset = divmod(within, self.window)
            part = self._window(len(labels), seed, number, window)[offset : offset + end - position]
            parts.append(part)
            position += len(part)
        return torch.cat(parts)

    def _window(self, count: int, seed: int, number: int, window: int) -> Tensor:
        key = (count, seed, number, window)
        if self._kept is None or self._kept[0] != key:
            places = torch.arange(window * self.window, min((window + 1) * self.window, count))
            generator = step_generator(seed, Stream.ORDER, WINDOWS, number, window)
            order = torch.randperm(len(places), generator=generator)
            self._kept = (key, self._in_runs(places, count, seed, number)[order])
        return self._kept[1]

    def _in_runs(self, places: Tensor, count: int, seed: int, number: int) -> Tensor:
        """Which images are at ``places`` of a pass before windows are shuffled. All runs are of one
        length but the last of the data, wherever that comes."""
        key = (count, seed, number)
        if self._pass is None or self._pass[0] != key:
            runs = -(-count // self.run)
            generator = step_generator(seed, Stream.ORDER, RUN_ORDER, number)
            order = torch.randperm(runs, generator=generator)
            self._pass = (key, order, int((order == runs - 1).nonzero()))
        _, order, last = self._pass
        lacking = len(order) * self.run - count  # in the last run
        after = (last + 1) * self.run - lacking
        moved = torch.where(places < after, places, places + lacking)
        return order[moved // self.run] * self.run + moved % self.run


def fitting(order: Order | None, real: LabelledImages) -> Order:
    """The order in which such images are shown: those of a stream are shuffled in its window."""
    whole = order is None or isinstance(order, Shuffled)
    if whole and isinstance(real, StreamedImages) and real.window is not None:
        return WindowShuffled(real.window)
    return order or Shuffled()


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
        real: the training images, in memory or decoded batch by batch.
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
        self.order = fitting(order, real)
        self.first_image, self.rank, self.world_size = first_image, rank, world_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = get_worker_info()
        number, of = (0, 1) if worker is None else (worker.id, worker.num_workers)
        position = self.first_image + number * self.batch_size
        while True:
            yield self.at(position)
            position += of * self.batch_size  # a loader takes batches from its workers in turn

    def at(self, position: int) -> tuple[Tensor, Tensor]:
        """The batch whose first image is the stream's number ``position``: this process's part."""
        share, labels = self.batch_size // self.world_size, self.real.labels
        whole = self.order.positions(labels, self.seed, position, self.batch_size)
        index = whole[self.rank * share : (self.rank + 1) * share]
        return self.real.images[index], labels[index]


class Loader(DataLoader[tuple[Tensor, Tensor]]):
    """Batches, decoded ahead by as many workers as a stream asks for. A file that can't be read is
    said as it would be without them."""

    def __init__(self, batches: Batches, pin_memory: bool) -> None:
        workers = batches.real.workers if isinstance(batches.real, StreamedImages) else 0
        told = _Telling(batches) if workers else batches
        super().__init__(told, batch_size=None, pin_memory=pin_memory, num_workers=workers)

    def __iter__(self) -> Any:
        for batch in super().__iter__():
            if isinstance(batch, Problem):
                raise LostImageError(batch.sentence)
            yield batch


@dataclass(frozen=True)
class Problem:
    """What a worker has to say instead of a batch."""

    sentence: str


class _Telling(IterableDataset):
    """Batches, or what is wrong with one: from a worker, an exception would come as a traceback."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor] | Problem]:
        try:
            yield from self.batches
        except LostImageError as error:
            yield Problem(str(error))
