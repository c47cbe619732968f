"""Images of one set that resemble one another: all but the first are rejected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from synthgen.dataset.schema import Fact
from synthgen.device import torch_threads
from synthgen.errors import SynthgenError
from synthgen.neighbors import exact_distances, nearest
from synthgen.ranges import Components, KeptShare, NonNegative
from synthgen.seeds import Stream, step_generator
from synthgen.synthesis.filters.base import (
    Gated,
    SetFilter,
    Threshold,
    Verdicts,
    checked_share,
    class_medians,
    halves,
    some_of_each,
    threshold,
    without_copies,
)
from synthgen.synthesis.filters.distances import PixelSpace
from synthgen.types import LabelledImages

CALIBRATED_ON = 20_000  # real images; the others of a class stand for the rest of a set
TOGETHER = 256  # rows of a class whose pairs are looked at one by one
NONE_BEFORE = 100.0  # the score of a row without any like it before, and the highest one
TINY = 1e-12
PAIRS = 2**16  # of real images, whose distances are held at once


class NearDuplicates(Gated, SetFilter):
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
        self.kept: list[Growing] = []  # the rows kept so far, for each class

    def fit(self, real_train: LabelledImages, seed: int) -> None:
        """What distances real images of a class keep from one another: each half is a set of its
        own in a space that was fitted to the other half. An image there has fewer than half as
        many earlier rows to resemble, and of as few rows that many fewer are lost.

        Raises:
            SynthgenError: no class has two different images in each half.
        """
        real = without_copies(real_train)
        chosen = some_of_each(real.labels, CALIBRATED_ON, seed)
        parts = [chosen[part] for part in halves(real.subset(chosen), seed)]
        with torch_threads(1):
            found = [
                self._distances(real.subset(known), real.subset(drawn), seed)
                for known, drawn in (parts[::-1], parts)  # the space of the latter is kept
            ]
        distances, labels, nearest_ones = (torch.cat(both) for both in zip(*found, strict=True))
        known = nearest_ones.isfinite()
        if not bool(known.any()):
            raise SynthgenError(
                "A filter of near duplicates needs two different training images of some class in "
                "each half of them.\nDraw the set without it."
            )
        self.usual = class_medians(nearest_ones[known], labels[known], len(real.classes))
        halves_of_labels = [real.labels[part] for part in parts]
        smaller = earlier_rows(halves_of_labels) / earlier_rows([real.labels])
        made = threshold(
            self._score(distances, labels),
            labels,
            real.classes,
            keep_real=1 - smaller * (1 - self.keep_real),
            threshold=self.threshold,
        )
        self.gate = Threshold(made.thresholds, self._of_whole(made.facts, smaller))
        self.begin()

    def _distances(
        self, known: LabelledImages, drawn: LabelledImages, seed: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """For a real set in random order: the distance of each image to the nearest earlier one of
        its class, infinite for the first; the labels; the distance to the nearest of all others."""
        self.space.fit(known, seed)
        points = self.space.encode(drawn.images)
        earlier = torch.full((len(drawn),), float("inf"), dtype=torch.float64)
        others = earlier.clone()
        order = torch.randperm(len(drawn), generator=step_generator(seed, Stream.NEAR_DUPLICATES))
        for label in drawn.labels.unique().tolist():
            mine = order[drawn.labels[order] == label]
            together = max(1, PAIRS // len(mine))
            for start in range(0, len(mine), together):
                part = mine[start : start + together]
                pairs = exact_distances(points[part], points[mine].expand(len(part), -1, -1))
                place = torch.arange(start, start + len(part))[:, None]
                pairs = pairs.masked_fill(torch.arange(len(mine)) == place, float("inf"))
                others[part] = pairs.amin(1)
                pairs = pairs.masked_fill(torch.arange(len(mine)) > place, float("inf"))
                earlier[part] = pairs.amin(1)
        return earlier, drawn.labels, others

    def _of_whole(self, facts: Fact, smaller: float) -> Fact:
        """What the facts of a set of ``smaller`` times the size say of one as large as training."""

        def whole(share: float) -> float:
            return round(max(0.0, 1 - (1 - share) / smaller), 4)

        per_class = (facts.keeps_of_real_per_class or {}).items()
        said = {
            "keeps_of_real": whole(facts.keeps_of_real or 0),
            "keeps_of_real_95": tuple(whole(share) for share in facts.keeps_of_real_95 or ()),
            "keeps_of_real_per_class": {name: whole(share) for name, share in per_class},
        }
        asked = {"asked_to_keep_of_real": self.keep_real} if self.threshold is None else {}
        return facts.model_copy(update=said | asked)

    def begin(self) -> None:
        self.kept = [Growing(self.space.axes.shape[1] + 1) for _ in self.usual]

    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        distances = torch.empty(len(images), dtype=torch.float64)
        with torch_threads(1):
            points = self.space.encode(images)
            for label in labels.unique().tolist():
                mine = labels == label
                parts = points[mine].split(TOGETHER)
                distances[mine] = torch.cat([self._settle(p, label) for p in parts])
        return self.line.verdicts(self._score(distances, labels), labels)

    def _settle(self, points: Tensor, label: int) -> Tensor:
        """Distances of the next rows of a class to their nearest kept row before, float64."""
        before = self.kept[label]
        if len(before):
            distances = nearest(points, before.rows, 1)[0][:, 0]
        else:
            distances = torch.full((len(points),), float("inf"), dtype=torch.float64)
        column = torch.tensor([label])
        for row in range(len(points)):
            score = self._score(distances[row : row + 1], column)
            if bool(self.line.verdicts(score, column).keep):
                before.append(points[row])
                later = points[None, row + 1 :]
                distances[row + 1 :] = torch.minimum(
                    distances[row + 1 :], exact_distances(points[row : row + 1], later)[0]
                )
        return distances

    def _score(self, distances: Tensor, labels: Tensor) -> Tensor:
        return (distances / self.usual[labels].clamp(min=TINY)).clamp(max=NONE_BEFORE)


def earlier_rows(sets: Sequence[Tensor]) -> float:
    """Mean number of earlier rows of its class that a row has, in sets of int64 labels ``(N,)``."""
    counts = torch.cat([torch.bincount(labels) for labels in sets]).double()
    return float((counts * (counts - 1)).sum() / 2 / counts.sum())


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
