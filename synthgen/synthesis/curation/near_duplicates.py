"""Images of one set that resemble one another: all but the first are rejected."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from synthgen.hardware import torch_threads
from synthgen.ranges import Components, KeptShare, NonNegative
from synthgen.synthesis.curation.base import SetFilter, Verdicts
from synthgen.synthesis.curation.gate import Gate, checked_share, gate
from synthgen.synthesis.curation.held_out import class_medians, some_of_each, without_copies
from synthgen.synthesis.curation.nearest import exact_distances, nearest, nearest_others
from synthgen.synthesis.curation.pixel_space import PixelSpace
from synthgen.types import LabelledImages

CALIBRATED_ON = 50_000  # real images; the others of a class stand for the rest of a set
TOGETHER = 256  # rows of a class whose pairs are looked at one by one
NONE_BEFORE = 100.0  # the score of a row without any like it before, and the highest one
TINY = 1e-12


class NearDuplicates(SetFilter):
    """Rejects an image if an earlier kept row of its class lies too near.

    The score is the distance to the nearest earlier row, over the usual distance of a real image of
    the class to the nearest of the others: 0 for a duplicate, **higher is better**, at most 100.
    The pairs of a set grow with the square of its size, and so do chance meetings: of a real set
    as large as the training split ``keep_real`` or more would be kept, of one ten times as large
    about ``1 - 10 (1 - keep_real)``. Distances as in :class:`NearCopies`; memory is 260 bytes per
    row.

    Args:
        keep_real: share that would be kept of a real set as large as the training split.
        threshold: a score of one's own instead, the same for all classes.
        components: principal components of the space.
    """

    name: ClassVar[str] = "near_duplicates"

    def __init__(
        self,
        keep_real: KeptShare = 0.99,
        threshold: NonNegative | None = None,
        components: Components = 64,
    ) -> None:
        self.keep_real, self.threshold = checked_share(keep_real), threshold
        self.space = PixelSpace(components)
        self.usual = torch.empty(0)  # median distance of each class, float64 (classes,)
        self.gate: Gate | None = None
        self.kept: list[Growing] = []  # the rows kept so far, for each class

    def fit(self, real_train: LabelledImages, seed: int) -> None:
        """What distances real images of a class keep from one another."""
        real = without_copies(real_train)
        real = real.subset(some_of_each(real.labels, CALIBRATED_ON, seed))
        found, labels = [], []
        with torch_threads(1):
            self.space.fit(real, seed)
            points = self.space.encode(real.images)
            for label in range(len(real.classes)):
                mine = points[real.labels == label]
                if len(mine) > 1:
                    found.append(nearest_others(torch.arange(len(mine)), mine, 1)[0][:, 0])
                    labels.append(torch.full((len(mine),), label))
        distances, of_class = torch.cat(found), torch.cat(labels)
        self.usual = class_medians(distances, of_class, len(real.classes))
        self.gate = gate(
            self._score(distances, of_class),
            of_class,
            real.classes,
            keep_real=self.keep_real,
            threshold=self.threshold,
        )
        self.begin()

    def begin(self) -> None:
        self.kept = [Growing(self.space.axes.shape[1] + 1) for _ in self.usual]

    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        if self.gate is None:
            raise RuntimeError("fit() must come before examine()")
        distances = torch.empty(len(images), dtype=torch.float64)
        with torch_threads(1):
            points = self.space.encode(images)
            for label in labels.unique().tolist():
                mine = labels == label
                parts = points[mine].split(TOGETHER)
                distances[mine] = torch.cat([self._settle(p, label, self.gate) for p in parts])
        return self.gate.verdicts(self._score(distances, labels), labels)

    def facts(self) -> dict[str, Any]:
        return {} if self.gate is None else self.gate.facts

    def _settle(self, points: Tensor, label: int, line: Gate) -> Tensor:
        """Distances of the next rows of a class to their nearest kept row before, float64."""
        before = self.kept[label]
        if len(before):
            distances = nearest(points, before.rows, 1)[0][:, 0]
        else:
            distances = torch.full((len(points),), float("inf"), dtype=torch.float64)
        column = torch.tensor([label])
        for row in range(len(points)):
            score = self._score(distances[row : row + 1], column)
            if bool(line.verdicts(score, column).keep):
                before.append(points[row])
                later = points[None, row + 1 :]
                distances[row + 1 :] = torch.minimum(
                    distances[row + 1 :], exact_distances(points[row : row + 1], later)[0]
                )
        return distances

    def _score(self, distances: Tensor, labels: Tensor) -> Tensor:
        return (distances / self.usual[labels].clamp(min=TINY)).clamp(max=NONE_BEFORE)


class Growing:
    """float32 rows in one tensor that doubles when it is full."""

    def __init__(self, width: int) -> None:
        self.store, self.count = torch.empty(256, width), 0

    def __len__(self) -> int:
        return self.count

    @property
    def rows(self) -> Tensor:
        return self.store[: self.count]

    def append(self, row: Tensor) -> None:
        if self.count == len(self.store):
            self.store = torch.cat([self.store, torch.empty_like(self.store)])
        self.store[self.count] = row
        self.count += 1
