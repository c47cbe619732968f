"""Images judged by their distances to the training images: near-copies, and stray ones."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgen.dataset.schema import Fact
from synthgen.device import torch_threads
from synthgen.images import to_float
from synthgen.neighbors import nearest, nearest_others
from synthgen.ranges import Components, KeptShare, NonNegative
from synthgen.samplers.statistical import principal_components
from synthgen.seeds import Stream, step_generator
from synthgen.synthesis.filters.base import (
    Filter,
    Gated,
    Verdicts,
    checked_share,
    halves,
    some_of_each,
    threshold,
    without_copies,
)
from synthgen.types import LabelledImages

# A short vector per image whose distances stand for distances between pixels.

LONGEST = 32  # larger images are averaged down first: copies stay copies, and PCA stays small
FITTED_ON = 10_000  # images, drawn from all
PER_COMPONENT = 4  # images at least: with fewer the axes run through single images
PART = 1024  # images at a time


class PixelSpace:
    """Scores on the first principal components of real training images, and as a last value how
    much the components leave unexplained; a distance here is never more than one in pixels. New
    images lie farther from the components than those that these were fitted to, so thresholds come
    from images that were not.

    Values are summed in float64 and kept in float32, so they don't depend on the batch.
    """

    def __init__(self, components: int = 64) -> None:
        self.components = components
        self.mean = self.axes = torch.empty(0)  # float64 (pixels,), (pixels, K)

    def fit(self, real: LabelledImages, seed: int) -> None:
        order = torch.randperm(len(real), generator=step_generator(seed, Stream.PIXEL_SPACE))
        pixels = _small(real.images[order[:FITTED_ON].sort().values])
        count = max(1, min(self.components, len(pixels) // PER_COMPONENT, pixels.shape[1]))
        pca, _ = principal_components(pixels.numpy(), count, seed)
        self.mean = torch.from_numpy(pca.mean_).double()
        self.axes = torch.from_numpy(pca.components_.T.copy()).double()

    def encode(self, images: Tensor) -> Tensor:
        """uint8 ``(N, C, H, W)`` -> float32 ``(N, components + 1)``."""
        parts = []
        for part in images.split(PART):
            centred = _small(part).double() - self.mean
            scores = centred @ self.axes
            rest = (centred.square().sum(1) - scores.square().sum(1)).clamp(min=0).sqrt()
            parts.append(torch.cat([scores, rest[:, None]], dim=1).float())
        return torch.cat(parts) if parts else torch.empty(0, self.axes.shape[1] + 1)


def _small(images: Tensor) -> Tensor:
    """uint8 ``(N, C, H, W)`` -> float32 pixels ``(N, P)`` in [-1, 1]."""
    pixels = to_float(images)
    height, width = pixels.shape[2:]
    if max(height, width) > LONGEST:
        scale = LONGEST / max(height, width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        pixels = F.adaptive_avg_pool2d(pixels, size)
    return pixels.flatten(1)


# Near-copies of training images, by how much nearer one of them is than its neighbours.

CALIBRATED_ON = 4000  # real images, each compared with all others
TINY_DISTANCE = 1e-12
MISSES = "mirrored and shifted copies, which a report's check of copying finds"


class NearCopies(Gated, Filter):
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
        self.gate = threshold(
            _relative(distances),
            real.labels[asked],
            real.classes,
            keep_real=self.keep_real,
            threshold=self.threshold,
        )

    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        with torch_threads(1):
            found = nearest(self.space.encode(images), self.references, self._count())
        return self.line.verdicts(_relative(found[0]), labels)

    def facts(self) -> Fact:
        return (
            Fact() if self.gate is None else super().facts().model_copy(update={"misses": MISSES})
        )

    def _count(self) -> int:
        """As many for a new image as for a training image among the others."""
        return min(self.neighbours, len(self.references) - 1)


def _relative(distances: Tensor) -> Tensor:
    """float64 ``(N, K)``, nearest first -> ``(N,)``."""
    return distances[:, 0] / distances.mean(dim=1).clamp(min=TINY_DISTANCE)


# Images where training images of their class are sparse: garbage and stray shapes.

MOST_STRETCH = 100.0
ON_TOP = 0.5  # of the distance to the second nearest: an image as near as that lies on the first
TINY_DENSITY, HIGHEST = 1e-12, 100.0  # a copy would score without bound


class LowDensity(Gated, Filter):
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
        self.gate = threshold(
            torch.cat(scores),
            torch.cat(labels),
            real.classes,
            keep_real=self.keep_real,
            threshold=self.threshold,
        )

    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        scores = torch.empty(len(images), dtype=torch.float64)
        with torch_threads(1):
            points = self.space.encode(images) * self.stretch
            for label in labels.unique().tolist():
                mine = labels == label
                scores[mine] = self._of_new(points[mine], label)
        return self.line.verdicts(scores, labels)

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
    factors[-1] = (points[:, 0].std() / points[:, -1].std().clamp(min=TINY_DENSITY)).clamp(
        1, MOST_STRETCH
    )
    return factors


def _score(own: Tensor, radii: Tensor) -> Tensor:
    """Own radius ``(N,)`` and those of the neighbours, float64 ``(N, K)`` -> ``(N,)``."""
    return (radii.mean(dim=1) / own.clamp(min=TINY_DENSITY)).clamp(max=HIGHEST)
