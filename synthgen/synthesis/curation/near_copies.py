"""Near-copies of training images, by how much nearer one of them is than its neighbours."""

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

CALIBRATED_ON = 4000  # real images, each compared with all others
TINY = 1e-12
MISSES = "mirrored and shifted copies, which a report's check of copying finds"


class NearCopies(Filter):
    """Rejects images that lie on a training image.

    The score is the distance to the nearest training image over the mean distance to the nearest
    ``neighbours`` ones (Carlini et al. 2023, section 5.1, without their factor alpha): 0 for a
    copy, towards 1 for an image between its neighbours, **higher is better**. It is relative, so
    a class whose images are all alike isn't taken for a class of copies. Distances are those of
    pixels in the space of their principal components: a copy that was mirrored, or shifted by more
    than about a pixel, is not recognised. The report's check (``aligned-pixels``) finds those, at
    thirty times the cost: 66 instead of 1,980 images a second against 10,000 of 32 × 32 in colour.

    Args:
        keep_real: share of new real images that would be kept, which sets the threshold.
        threshold: a score of one's own instead, the same for all classes.
        neighbours: training images that say what distance is usual.
        components: principal components of the space.
    """

    name: ClassVar[str] = "near_copies"

    def __init__(
        self,
        keep_real: KeptShare = 0.99,
        threshold: NonNegative | None = None,
        neighbours: Components = 20,
        components: Components = 64,
    ) -> None:
        self.keep_real, self.threshold = checked_share(keep_real), threshold
        self.neighbours = neighbours
        self.space = PixelSpace(components)
        self.references = torch.empty(0)  # float32 (training images, D)
        self.gate: Gate | None = None

    def fit(self, real_train: LabelledImages, seed: int) -> None:
        """The space is fitted to half of the real images. Each of the other half is scored against
        all but itself (and its group), as a new image would be; exact copies among the real images
        count once, or they would teach that copies are usual."""
        real = without_copies(real_train)
        known, held = halves(real, seed)
        with torch_threads(1):
            self.space.fit(real.subset(known), seed)
            self.references = self.space.encode(real.images)
            asked = held[some_of_each(real.labels[held], CALIBRATED_ON, seed)]
            found = nearest_others(asked, self.references, self._count(), real.groups)
            distances = found[0]
        self.gate = gate(
            _relative(distances),
            real.labels[asked],
            real.classes,
            keep_real=self.keep_real,
            threshold=self.threshold,
        )

    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        if self.gate is None:
            raise RuntimeError("fit() must come before examine()")
        with torch_threads(1):
            found = nearest(self.space.encode(images), self.references, self._count())
        return self.gate.verdicts(_relative(found[0]), labels)

    def facts(self) -> dict[str, Any]:
        return {} if self.gate is None else {**self.gate.facts, "misses": MISSES}

    def _count(self) -> int:
        """As many for a new image as for a training image among the others."""
        return min(self.neighbours, len(self.references) - 1)


def _relative(distances: Tensor) -> Tensor:
    """float64 ``(N, K)``, nearest first -> ``(N,)``."""
    return distances[:, 0] / distances.mean(dim=1).clamp(min=TINY)
