"""The rows of a set: label, seed and file name of every image, known before the first is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.seeds import MAX_PLAN_SEED, row_seeds

MIN_DIGITS = 6  # so that sets of different sizes name their files alike


@dataclass(frozen=True)
class Rows:
    """Row ``i`` is an image of ``labels[i]`` drawn with ``seeds[i]`` (int64 tensors)."""

    classes: tuple[str, ...]
    labels: Tensor
    seeds: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def files(self, numbers: range) -> list[str]:
        """``<class>/<row>.png``, relative to the set, with as many digits for every row."""
        digits = max(MIN_DIGITS, len(str(len(self) - 1)))
        labels = self.labels[numbers.start : numbers.stop].tolist()
        return [
            f"{self.classes[label]}/{row:0{digits}d}.png"
            for row, label in zip(numbers, labels, strict=True)
        ]

    def batches(self, size: int) -> Iterator[range]:
        """Consecutive row numbers, ``size`` at a time."""
        for first in range(0, len(self), size):
            yield range(first, min(first + size, len(self)))

    @property
    def used_classes(self) -> list[str]:
        """Classes with at least one row; ``ImageFolder`` refuses empty folders."""
        return [self.classes[label] for label in self.labels.unique().tolist()]


def rows_of(quotas: dict[str, int], seed: int) -> Rows:
    """Number the rows of a plan from 0, class by class in class order."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_PLAN_SEED:
        raise SynthgenError(f"seed must be a whole number from 0 to {MAX_PLAN_SEED}, got {seed!r}.")
    counts = torch.tensor(list(quotas.values()), dtype=torch.int64)
    labels = torch.arange(len(quotas)).repeat_interleave(counts)
    return Rows(tuple(quotas), labels, row_seeds(seed, 0, len(labels)))
