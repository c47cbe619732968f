"""Where a trial's synthetic images come from: fresh draws for each seed, or one fixed folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from synthgen.samplers.base import Sampler
from synthgen.seeds import MAX_PLAN_SEED, row_seeds, step_generator
from synthgen.types import LabelledImages

REPETITIONS_APART = 1_009  # plan seeds of different trials stay apart from each other's repetitions


class SyntheticSource(Protocol):
    """Labelled images for the ``repetition``-th seed of every arm. Of the same repetition a smaller
    set is a part of a larger one, so that ratios are compared on nested sets."""

    kind: str  # "sampler" | "folder"
    most: int  # images that one repetition can have

    def draw(self, count: int, repetition: int) -> LabelledImages: ...


class FreshDraws:
    """New images from a sampler for each repetition, so that the luck of the draw is in the trial's
    interval.

    ``counts`` are class counts whose proportions the draws keep; ``most`` images are drawn at once
    and kept until another repetition is asked for. ``seed`` fixes all draws.
    """

    kind = "sampler"

    def __init__(self, sampler: Sampler, counts: Sequence[int], *, most: int, seed: int) -> None:
        self.sampler = sampler
        self.counts = list(counts)
        self.most = most
        self.seed = seed
        self._pool: tuple[int, LabelledImages] | None = None

    def draw(self, count: int, repetition: int) -> LabelledImages:
        if self._pool is None or self._pool[0] != repetition:
            self._pool = repetition, self._draw_pool(repetition)
        return first_of_each_class(self._pool[1], self.counts, count)

    def _draw_pool(self, repetition: int) -> LabelledImages:
        quotas = proportional(self.counts, self.most)
        labels = torch.arange(len(quotas)).repeat_interleave(torch.tensor(quotas))
        seed = (self.seed * REPETITIONS_APART + repetition) % MAX_PLAN_SEED
        drawn = self.sampler.sample(labels, row_seeds(seed, 0, len(labels)))
        return LabelledImages(drawn.images, drawn.labels, self.sampler.image.classes)


class FixedFolder:
    """Always the images of one folder: a smaller set is another random part of it for each
    repetition. What is found holds for this folder only."""

    kind = "folder"

    def __init__(self, images: LabelledImages, *, seed: int) -> None:
        self.images = images
        self.most = len(images)
        self.seed = seed

    def draw(self, count: int, repetition: int) -> LabelledImages:
        order = torch.randperm(len(self.images), generator=step_generator(self.seed, repetition, 2))
        return first_of_each_class(self.images.subset(order), self.images.counts, count)


def copies_of(
    real: LabelledImages, counts: Sequence[int], generator: torch.Generator
) -> LabelledImages:
    """``counts`` copies of each class's own images, each as often as the others, but for the last
    round, whose images are drawn. A class without images has no copies."""
    order = torch.randperm(len(real), generator=generator)
    labels = real.labels[order]
    found = []
    for label, count in enumerate(counts):
        mine = order[labels == label]
        found.append(mine.repeat(-(-count // max(len(mine), 1)))[:count])
    return real.subset(torch.cat(found))


def first_of_each_class(
    images: LabelledImages, counts: Sequence[int], count: int
) -> LabelledImages:
    """``count`` images in the proportions of ``counts``: the first ones of each class."""
    quotas = torch.tensor(proportional(counts, count))
    return images.subset(rank_in_class(images.labels, len(counts)) < quotas[images.labels])


def rank_in_class(labels: Tensor, classes: int) -> Tensor:
    """int64 ``(N,)``: how many images of the same class come before each one."""
    rank = torch.empty_like(labels)
    for label in range(classes):
        mine = labels == label
        rank[mine] = torch.arange(int(mine.sum()))
    return rank


def proportional(counts: Sequence[int], total: int) -> list[int]:
    """``total`` shared out in proportion to ``counts`` (Sainte-Laguë); ties go to the class that
    comes first.

    Unlike with largest remainders no class ever gets fewer of a larger total, so sets are nested;
    up to ``sum(counts)`` none gets more than its count.
    """
    times, rest = divmod(total, sum(counts))
    places = torch.cat([(torch.arange(n, dtype=torch.float64) + 0.5) / max(n, 1) for n in counts])
    owners = torch.arange(len(counts)).repeat_interleave(torch.tensor(list(counts)))
    first = owners[places.argsort(stable=True)[:rest]]
    extra = torch.bincount(first, minlength=len(counts)).tolist()
    return [times * count + more for count, more in zip(counts, extra, strict=True)]
