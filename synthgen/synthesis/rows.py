"""The rows of a set: source, label, seed and name of every image, known before the first is drawn.

Nothing here grows with the number of images: a row is worked out when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.seeds import MAX_PLAN_SEED, redraw_seed, row_seeds

MIN_DIGITS = 6  # so that sets of different sizes name their files alike


@dataclass(frozen=True)
class Segment:
    """``count`` rows of one class that come from one source."""

    source: int  # position among the order's sources
    label: int
    count: int


@dataclass(frozen=True)
class Part:
    """Some rows, in ascending order. All tensors are int64 ``(N,)``."""

    numbers: Sequence[int]
    sources: Tensor
    labels: Tensor
    positions: Tensor  # within the row's segment, counted from 0

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class Rows:
    """``segments`` one after the other, numbered from ``first`` on."""

    classes: tuple[str, ...]
    segments: tuple[Segment, ...]
    seed: int
    first: int = 0

    def __post_init__(self) -> None:
        seed = self.seed
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_PLAN_SEED:
            raise SynthgenError(
                f"seed must be a whole number from 0 to {MAX_PLAN_SEED}, got {seed!r}."
            )

    def __len__(self) -> int:
        return sum(segment.count for segment in self.segments)

    @property
    def stop(self) -> int:
        return self.first + len(self)

    @cached_property
    def digits(self) -> int:
        """Of a row's name: as many for every row."""
        return max(MIN_DIGITS, len(str(self.stop - 1)))

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([segment.count for segment in self.segments])

    def part(self, numbers: Sequence[int]) -> Part:
        """The rows ``numbers``, which lie between ``first`` and ``stop``."""
        rows = as_array(numbers) - self.first
        index = np.searchsorted(self._ends, rows, side="right")
        sources, labels, counts = (
            np.array([getattr(one, key) for one in self.segments], dtype=np.int64)[index]
            for key in ("source", "label", "count")
        )
        positions = rows - (self._ends[index] - counts)
        return Part(
            numbers,
            torch.from_numpy(sources),
            torch.from_numpy(labels),
            torch.from_numpy(positions),
        )

    def seeds(self, part: Part, attempts: Tensor) -> Tensor:
        """int64 ``(N,)``: the seeds of the rows' draws number ``attempts``, counted from 0."""
        seeds = row_seeds(self.seed, 0, 1) + torch.from_numpy(as_array(part.numbers))
        for index in attempts.nonzero().flatten().tolist():
            row, attempt = part.numbers[index], int(attempts[index])
            seeds[index] = redraw_seed(self.seed, row, attempt)
        return seeds

    def names(self, numbers: Sequence[int]) -> list[str]:
        """The row's number with leading zeros: the stem of its file."""
        return [f"{row:0{self.digits}d}" for row in numbers]


def as_array(numbers: Sequence[int]) -> np.ndarray:
    """int64 ``(N,)``; NumPy would walk through a range number by number."""
    if isinstance(numbers, range):
        return np.arange(numbers.start, numbers.stop, numbers.step, dtype=np.int64)
    return np.asarray(numbers, dtype=np.int64)


def segments_of(quotas: dict[str, int], source: int) -> list[Segment]:
    """Class by class in class order, without the empty ones."""
    return [
        Segment(source, label, count) for label, count in enumerate(quotas.values()) if count > 0
    ]


def first_of_each_class(segments: Sequence[Segment], count: int, classes: int) -> list[int]:
    """Positions of the first ``count`` rows of each of the first ``classes`` classes that have
    any, class by class."""
    start, found = 0, dict[int, list[int]]()
    for segment in segments:
        mine = found.setdefault(segment.label, [])
        mine.extend(range(start, start + min(segment.count, count - len(mine))))
        start += segment.count
    return [row for label in sorted(found)[:classes] for row in found[label]]


@dataclass(frozen=True)
class ExampleRows:
    """The labels, int64 ``(N,)``, of the few rows that a contact sheet shows."""

    labels: Tensor
