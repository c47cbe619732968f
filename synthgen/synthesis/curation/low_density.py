"""Images where training images of their class are sparse: garbage and stray shapes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from synthgen.hardware import torch_threads
from synthgen.ranges import Components, KeptShare, NonNegative
from synthgen.synthesis.curation.base import Filter, Verdicts
from synthgen.synthesis.curation.gate import Gate, checked_share, gate
from synthgen.synthesis.curation.held_out import some_of_each, without_copies
from synthgen.synthesis.curation.nearest import nearest, nearest_others
from synthgen.synthesis.curation.pixel_space import PixelSpace
from synthgen.types import LabelledImages

CALIBRATED_ON = 4000  # real images, each compared with the others of its class
MOST_STRETCH = 100.0
TINY, HIGHEST = 1e-12, 100.0  # a copy would score without bound


class LowDensity(Filter):
    """Rejects images that are far from the training images of their class.

    The radius of an image is its distance to the ``neighbours``-th nearest training image of its
    class, a k-NN density estimate (Loftsgaarden & Quesenberry 1965). The score is the mean radius
    of these neighbours over its own: 1 where it is as dense around it as around them, lower where
    it is sparser, **higher is better**. To compare with neighbours (Breunig et al. 2000, whose
    local outlier factor is nearly the inverse) keeps the rule the same for flat and for busy
    images, whose distances differ many times. Distances are those of pixels in the space of their
    principal components, with what these leave unexplained as one more value, which is stretched
    to vary as much as the first component: there, real images are most alike.

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
        self.radii: list[Tensor] = []  # float64 (images,) for each class
        self.gate: Gate | None = None

    def fit(self, real_train: LabelledImages, seed: int) -> None:
        """Each real image is scored against the others of its class."""
        real = without_copies(real_train)
        self.radii = []
        asked = torch.zeros(len(real), dtype=torch.bool)
        asked[some_of_each(real.labels, CALIBRATED_ON, seed)] = True
        scores, labels = [torch.empty(0, dtype=torch.float64)], [torch.empty(0).long()]
        with torch_threads(1):
            self.space.fit(real, seed)
            points = self.space.encode(real.images)
            self.stretch = _stretch(points)
            points = points * self.stretch
            self.references = [points[real.labels == label] for label in range(len(real.classes))]
            for label, references in enumerate(self.references):
                members = torch.arange(len(references))
                if count := min(self.neighbours, len(references) - 1):
                    distances, found = nearest_others(members, references, count)
                    self.radii.append(distances[:, -1])
                    chosen = asked[real.labels == label]
                    scores.append(_score(distances, self.radii[label][found])[chosen])
                    labels.append(torch.full((int(chosen.sum()),), label))
                else:  # nothing is known of what is usual in this class
                    self.radii.append(torch.full((len(references),), torch.inf).double())
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
                mine, references = labels == label, self.references[label]
                count = min(self.neighbours, max(len(references) - 1, 1))
                distances, found = nearest(points[mine], references, count)
                scores[mine] = _score(distances, self.radii[label][found])
        return self.gate.verdicts(scores, labels)

    def facts(self) -> dict[str, Any]:
        return {} if self.gate is None else self.gate.facts


def _stretch(points: Tensor) -> Tensor:
    """Factors float32 ``(D,)``: only the last value's isn't 1. If the components explain every
    pixel, it is a rounding error and must stay one."""
    factors = torch.ones(points.shape[1])
    factors[-1] = (points[:, 0].std() / points[:, -1].std().clamp(min=TINY)).clamp(1, MOST_STRETCH)
    return factors


def _score(distances: Tensor, radii: Tensor) -> Tensor:
    """Distances to the nearest images and the radii of these, float64 ``(N, K)`` -> ``(N,)``."""
    return (radii.mean(dim=1) / distances[:, -1].clamp(min=TINY)).clamp(max=HIGHEST)
