"""Images where training images of their class are sparse: garbage and stray shapes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from synthgen.hardware import torch_threads
from synthgen.ranges import Components, KeptShare, NonNegative
from synthgen.synthesis.curation.base import Filter, Verdicts
from synthgen.synthesis.curation.gate import Gate, checked_share, gate
from synthgen.synthesis.curation.held_out import halves, some_of_each, without_copies
from synthgen.synthesis.curation.nearest import nearest, nearest_others
from synthgen.synthesis.curation.pixel_space import PixelSpace
from synthgen.types import LabelledImages

CALIBRATED_ON = 4000  # real images, each compared with the others of its class
MOST_STRETCH = 100.0
ON_TOP = 0.5  # of the distance to the second nearest: an image as near as that lies on the first
TINY, HIGHEST = 1e-12, 100.0  # a copy would score without bound


class LowDensity(Filter):
    """Rejects images that are far from the training images of their class.

    The radius of an image is its distance to the ``neighbours``-th nearest training image of its
    class, a k-NN density estimate (Loftsgaarden & Quesenberry 1965). The score is the mean radius
    of these neighbours over its own: 1 where it is as dense around it as around them, lower where
    it is sparser, **higher is better**. To compare with neighbours (Breunig et al. 2000, whose
    local outlier factor is nearly the inverse) keeps the rule the same for flat and for busy
    images, whose distances differ many times. The nearest training image never counts, so that a
    copy of it gains nothing. Distances are those of pixels in the space of their principal
    components, with what these leave unexplained as one more value, which is stretched to vary as
    much as the first component: there, real images are most alike.

    Args:
        keep_real: share of new real images that would be kept, which sets the threshold.
        threshold: a score of one's own instead, the same for all classes.
        neighbours: which neighbour's distance counts; fewer in a class of fewer images.
        components: principal components of the space.
    """

    name: ClassVar[str] = "low_density"

    def __init__(
        self,
        keep_real: KeptShare = 0.95,
        threshold: NonNegative | None = None,
        neighbours: Components = 5,
        components: Components = 64,
    ) -> None:
        self.keep_real, self.threshold = checked_share(keep_real), threshold
        self.neighbours = neighbours
        self.space = PixelSpace(components)
        self.stretch = torch.empty(0)  # float32 (D,)
        self.references: list[Tensor] = []  # float32 (images, D) for each class
        self.spacing: list[Tensor] = []  # float64 (images, neighbours + 2) for each class
        self.near: list[Tensor] = []  # int64, as spacing: which reference is so far away
        self.gate: Gate | None = None

    def fit(self, real_train: LabelledImages, seed: int) -> None:
        """The space is fitted to half of the real images; each of the other half is scored against
        all but itself (and its group), as a new image would be."""
        real = without_copies(real_train)
        known, held = halves(real, seed)
        asked = torch.zeros(len(real), dtype=torch.bool)
        asked[held[some_of_each(real.labels[held], CALIBRATED_ON, seed)]] = True
        scores, labels = [torch.empty(0, dtype=torch.float64)], [torch.empty(0).long()]
        self.references, self.spacing, self.near = [], [], []
        with torch_threads(1):
            self.space.fit(real.subset(known), seed)
            points = self.space.encode(real.images)
            self.stretch = _stretch(points[held])
            points = points * self.stretch
            for label in range(len(real.classes)):
                mine = real.labels == label
                self._keep(points[mine])
                members = asked[mine].nonzero().flatten()
                if self._count(label) and len(members):
                    kin = None if real.groups is None else real.groups[mine]
                    scores.append(self._of_members(members, label, kin))
                    labels.append(torch.full((len(members),), label))
        self.gate = gate(
            torch.cat(scores),
            torch.cat(labels),
            real.classes,
            keep_real=self.keep_real,
            threshold=self.threshold,
        )

    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        if self.gate is None:
            raise RuntimeError("fit() must come before examine()")
        scores = torch.empty(len(images), dtype=torch.float64)
        with torch_threads(1):
            points = self.space.encode(images) * self.stretch
            for label in labels.unique().tolist():
                mine = labels == label
                scores[mine] = self._of_new(points[mine], label)
        return self.gate.verdicts(scores, labels)

    def facts(self) -> dict[str, Any]:
        return {} if self.gate is None else self.gate.facts

    def _keep(self, references: Tensor) -> None:
        """The references of the next class, with two neighbours each beyond those that count."""
        self.references.append(references)
        others = min(self.neighbours + 2, len(references) - 1)
        if others > 0:
            found = nearest_others(torch.arange(len(references)), references, others)
            self.spacing.append(found[0])
            self.near.append(found[1])
        else:
            self.spacing.append(torch.empty(len(references), 0, dtype=torch.float64))
            self.near.append(torch.empty(len(references), 0, dtype=torch.int64))

    def _count(self, label: int) -> int:
        """Neighbours beyond the nearest: those of a reference can do without one image more."""
        return max(0, min(self.neighbours, len(self.references[label]) - 3))

    def _of_members(self, members: Tensor, label: int, groups: Tensor | None) -> Tensor:
        """Scores of references, as if each were not one, nor others of its group."""
        count = self._count(label)
        distances, near = self.spacing[label][members], self.near[label][members]
        if groups is not None:
            distances, near = nearest_others(members, self.references[label], count + 2, groups)
        own, found = counted(distances, near, count)
        others = (self.near[label][found] != members[:, None, None]).cumsum(2)  # up to each place
        place = (others == count + 1).long().argmax(2, keepdim=True)
        radii = self.spacing[label][found].gather(2, place)[:, :, 0]
        return _score(own, radii)

    def _of_new(self, points: Tensor, label: int) -> Tensor:
        count = self._count(label)
        if not count:  # nothing is known of what is usual in this class
            return torch.full((len(points),), HIGHEST, dtype=torch.float64)
        own, found = counted(*nearest(points, self.references[label], count + 2), count)
        return _score(own, self.spacing[label][found, count])


def counted(distances: Tensor, found: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Neighbours ``(N, K)``, nearest first -> the own radius ``(N,)`` and the ``count`` that count
    ``(N, count)``: all but the nearest, or, of an image that lies on one, but the two nearest: then
    it scores as the one that it lies on."""
    skipped = 1 + (distances[:, 0] < ON_TOP * distances[:, 1]).long()
    place = skipped[:, None] + torch.arange(count)
    return distances.gather(1, place)[:, -1], found.gather(1, place)


def _stretch(points: Tensor) -> Tensor:
    """Factors float32 ``(D,)``: only the last value's isn't 1. If the components explain every
    pixel, it is a rounding error and must stay one."""
    factors = torch.ones(points.shape[1])
    factors[-1] = (points[:, 0].std() / points[:, -1].std().clamp(min=TINY)).clamp(1, MOST_STRETCH)
    return factors


def _score(own: Tensor, radii: Tensor) -> Tensor:
    """Own radius ``(N,)`` and those of the neighbours, float64 ``(N, K)`` -> ``(N,)``."""
    return (radii.mean(dim=1) / own.clamp(min=TINY)).clamp(max=HIGHEST)
