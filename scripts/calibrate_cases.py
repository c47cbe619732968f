"""Trials whose truth is known on classes of unequal sizes, for calibrate.py: nothing is added but
copies, and real images that were held back.

Of two classes (MNIST's 4 and 9, 200 and 20 training images, 450 and 50 test images) and of ten (200
… 10 training images, 200 test images each), with a holdout of half the training images' number.
Synthetic images fill every class up to the largest, as plan=fill does; at ratio 2 the rare classes
outnumber it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from synthgen.data.splits import Splits
from synthgen.evaluation.trial.arms import (
    SyntheticSource,
    first_of_each_class,
    proportional,
    rank_in_class,
)
from synthgen.evaluation.trial.endpoints import of_classes, tail_labels
from synthgen.evaluation.trial.schema import Source
from synthgen.seeds import step_generator
from synthgen.types import LabelledImages

TRAIN, TEST, DRAW, FEW, NOISE = 21, 22, 11, 23, 25  # streams of a trial's randomness
NOISY, SIGMA = 20, 12.0  # noisy versions of each rare image; levels of 0..255
NEAREST = 0.1  # of the frequent images, that are given a rare label
MOST_RATIO = 2.0


@dataclass(frozen=True)
class Setup:
    """Classes by position, and how many images of each there are."""

    classes: tuple[int, ...]
    train: tuple[int, ...]
    holdout: tuple[int, ...]
    test: tuple[int, ...]


TWO = Setup((4, 9), (200, 20), (100, 10), (450, 50))
TEN = Setup(
    tuple(range(10)),
    (200, 143, 102, 73, 52, 37, 27, 19, 14, 10),
    (100, 72, 51, 37, 26, 19, 14, 10, 7, 5),
    (200,) * 10,
)


class Copies:
    """A source that draws images of ``pool`` with replacement, ``counts`` in proportion."""

    kind: Source = "sampler"

    def __init__(
        self, pool: LabelledImages, counts: Sequence[int], *, most: int, seed: int
    ) -> None:
        self.pool, self.counts, self.most, self.seed = pool, list(counts), most, seed

    def draw(self, count: int, repetition: int) -> LabelledImages:
        generator = step_generator(self.seed, repetition, DRAW)
        quotas = torch.tensor(proportional(self.counts, self.most))
        labels = torch.arange(len(quotas)).repeat_interleave(quotas)
        index = torch.empty_like(labels)
        for label in labels.unique().tolist():
            mine = (self.pool.labels == label).nonzero().flatten()
            here = labels == label
            index[here] = mine[torch.randint(len(mine), (int(here.sum()),), generator=generator)]
        return first_of_each_class(self.pool.subset(index), self.counts, count)


def unequal_splits(whole: Splits, setup: Setup, number: int) -> tuple[Splits, LabelledImages]:
    """Fresh splits, and as many further real images of each class as there are for training."""
    train, test = only(whole.train, setup.classes), only(whole.test, setup.classes)
    before = [a + b for a, b in zip(setup.train, setup.holdout, strict=True)]
    none = [0] * len(setup.classes)
    splits = dataclasses.replace(
        whole,
        train=some(train, none, setup.train, number, TRAIN),
        holdout=some(train, setup.train, setup.holdout, number, TRAIN),
        test=some(test, none, setup.test, number, TEST),
    )
    return splits, some(train, before, setup.train, number, TRAIN)


def only(images: LabelledImages, classes: Sequence[int]) -> LabelledImages:
    """Images of some classes, numbered anew."""
    kept = images.subset(of_classes(classes, images.labels))
    table = torch.full((len(images.classes),), -1)
    table[list(classes)] = torch.arange(len(classes))
    names = tuple(images.classes[label] for label in classes)
    return LabelledImages(kept.images, table[kept.labels], names)


def some(
    images: LabelledImages, first: Sequence[int], counts: Sequence[int], number: int, stream: int
) -> LabelledImages:
    """``counts`` images of each class after the ``first`` ones, in the trial's own order."""
    order = torch.randperm(len(images), generator=step_generator(number, stream))
    shuffled = images.subset(order)
    rank = rank_in_class(shuffled.labels, len(counts))
    start = torch.tensor(first)[shuffled.labels]
    end = start + torch.tensor(counts)[shuffled.labels]
    return shuffled.subset((rank >= start) & (rank < end))


def copies(splits: Splits, _: LabelledImages, number: int) -> SyntheticSource:
    """Of all classes, in their proportions."""
    return Copies(splits.train, splits.train.counts, most=most_of(splits), seed=number)


def tail_copies(splits: Splits, _: LabelledImages, number: int) -> SyntheticSource:
    """Every class filled up with copies of its own images."""
    return Copies(splits.train, missing(splits), most=most_of(splits), seed=number)


def noisy_copies(splits: Splits, _: LabelledImages, number: int) -> SyntheticSource:
    """The same with grey noise on every copy."""
    train = splits.train
    rare = of_classes(tail_labels(train, None), train.labels)
    pool = train.subset(rare.nonzero().flatten().repeat(NOISY))
    noise = torch.randn(pool.images.shape, generator=step_generator(number, NOISE))
    images = (pool.images + SIGMA * noise).round().clamp(0, 255).to(torch.uint8)
    counts = [n if mine else 0 for n, mine in zip(missing(splits), pool.counts, strict=True)]
    noisy = LabelledImages(images, pool.labels, pool.classes)
    return Copies(noisy, counts, most=most_of(splits), seed=number)


def shifted_copies(splits: Splits, _: LabelledImages, number: int) -> SyntheticSource:
    """Rare classes only: half copies of their images, half copies of the frequent images nearest to
    one of them, under its label."""
    train = splits.train
    tail = of_classes(tail_labels(train, None), train.labels)
    rare, near = train.subset(tail), near_misses(train.subset(~tail), train.subset(tail))
    pool = LabelledImages(
        torch.cat(
            [
                rare.images.repeat_interleave(len(near), 0),
                near.images.repeat_interleave(len(rare), 0),
            ]
        ),
        torch.cat(
            [rare.labels.repeat_interleave(len(near)), near.labels.repeat_interleave(len(rare))]
        ),
        train.classes,
    )
    counts = [n if mine else 0 for n, mine in zip(missing(splits), rare.counts, strict=True)]
    return Copies(pool, counts, most=most_of(splits), seed=number)


def new_images(splits: Splits, further: LabelledImages, number: int) -> SyntheticSource:
    """Every class filled up from as many real images, held back, as it has for training."""
    return Copies(further, missing(splits), most=most_of(splits), seed=number)


def near_misses(frequent: LabelledImages, rare: LabelledImages) -> LabelledImages:
    """The frequent images nearest in pixels to a rare one, with its label."""
    distance = torch.cdist(frequent.images.flatten(1).float(), rare.images.flatten(1).float())
    least = distance.min(1)
    nearest = least.values.argsort()[: max(1, round(NEAREST * len(frequent)))]
    labels = rare.labels[least.indices[nearest]]
    return LabelledImages(frequent.images[nearest], labels, frequent.classes)


def missing(splits: Splits) -> list[int]:
    """Images of each class to reach the largest."""
    return [max(splits.train.counts) - count for count in splits.train.counts]


def most_of(splits: Splits) -> int:
    return round(MOST_RATIO * len(splits.train))
