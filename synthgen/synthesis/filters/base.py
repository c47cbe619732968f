"""What judges single images while a set is drawn, and what judges the set afterwards; and where
they draw the line: so that a stated share of new real images would pass, judged by real images that
a score was not fitted to."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from synthgen.dataset.schema import Fact
from synthgen.errors import SynthgenError
from synthgen.images import image_hashes
from synthgen.seeds import Stream, step_generator
from synthgen.serialization import Rebuildable
from synthgen.types import LabelledImages, whole_groups


@dataclass(frozen=True)
class Verdicts:
    """``keep`` bool ``(N,)``; ``scores`` float32 ``(N,)``, their direction as the filter says."""

    keep: Tensor
    scores: Tensor

    def __post_init__(self) -> None:
        if self.keep.dtype != torch.bool or self.scores.dtype != torch.float32:
            raise ValueError("keep must be bool and scores float32")
        if self.keep.shape != self.scores.shape or self.keep.ndim != 1:
            raise ValueError("keep and scores must be (N,), one per image")


class Filter(Rebuildable, ABC):
    """Keeps or rejects each image for itself, whatever others it is shown with.

    A rejected image is drawn again with another seed until its row is filled.
    """

    name: ClassVar[str]  # the key of its scores in the manifest

    @abstractmethod
    def fit(self, real_train: LabelledImages, seed: int) -> None:
        """Learn from real training images, the same for the same images and ``seed``."""

    @abstractmethod
    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        """uint8 ``(N, C, H, W)``, int64 ``(N,)`` -> a verdict per image."""

    def facts(self) -> Fact:
        """For the set's papers once fitted: thresholds, share of real images kept."""
        return Fact()


class SetFilter(Rebuildable, ABC):
    """Settles what only the whole set shows, for example images of it that resemble one another.

    The images come in row order, in parts of any size, and the verdict on one depends on those
    before it alone. A rejected row is drawn again and shown once more, after all others.
    """

    name: ClassVar[str]

    def fit(self, real_train: LabelledImages, seed: int) -> None:
        """Learn what is usual from real training images, the same for the same ones and ``seed``;
        before the first :meth:`begin`."""

    @abstractmethod
    def begin(self) -> None:
        """Forget all images of an earlier set."""

    @abstractmethod
    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        """The next images: uint8 ``(N, C, H, W)``, int64 ``(N,)`` -> a verdict per image, given all
        images since :meth:`begin` that were kept."""

    def facts(self) -> Fact:
        """As :meth:`Filter.facts`."""
        return Fact()


# Real training images that a score is not fitted to, to see what it says about them.

FEWEST = 20


def some_of_each(labels: Tensor, most: int, seed: int) -> Tensor:
    """At most ``most`` positions, ascending, as many of every class as there are: no class takes
    more than its even share while another one has more to give."""
    order = torch.randperm(len(labels), generator=step_generator(seed, Stream.HELD_OUT))
    shuffled = labels[order]
    turn = torch.empty(len(labels), dtype=torch.int64)  # the how-many-th image of its class
    for label in shuffled.unique().tolist():
        mine = (shuffled == label).nonzero().flatten()
        turn[mine] = torch.arange(len(mine))
    return order[turn.argsort(stable=True)][:most].sort().values


def divided(real: LabelledImages, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Positions to fit to and positions held out, ``share`` of every class that has two or more
    images (at least one), in whole groups if the images have any."""
    if real.groups is not None:
        random = step_generator(seed, Stream.HELD_OUT)
        return both_sides(whole_groups(real.labels, real.groups, share, random))
    order = torch.randperm(len(real), generator=step_generator(seed, Stream.HELD_OUT))
    held = torch.zeros(len(real), dtype=torch.bool)
    for label in range(len(real.classes)):
        mine = order[real.labels[order] == label]
        held[mine[: max(1, round(share * len(mine))) if len(mine) > 1 else 0]] = True
    return both_sides(held)


def both_sides(held: Tensor) -> tuple[Tensor, Tensor]:
    """Ascending positions of what isn't held out and of what is."""
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def halves(real: LabelledImages, seed: int) -> tuple[Tensor, Tensor]:
    """Ascending positions of two halves, as even as can be within every class without tearing a
    group: one for a space to be fitted to, and one that it doesn't know, to see what it says about
    new images."""
    random = step_generator(seed, Stream.HELD_OUT)
    if real.groups is not None:
        return both_sides(whole_groups(real.labels, real.groups, 0.5, random))
    order = torch.randperm(len(real), generator=random)
    order = order[real.labels[order].argsort(stable=True)]
    return order[::2].sort().values, order[1::2].sort().values


def without_copies(real: LabelledImages) -> LabelledImages:
    """The first of each group of equal images. Raises SynthgenError if too few are left."""
    first: dict[str, int] = {}
    for position, digest in enumerate(image_hashes(real.images)):
        first.setdefault(digest, position)
    if len(first) < FEWEST:
        raise SynthgenError(
            f"A filter needs at least {FEWEST} different training images, and there are "
            f"{len(first)}.\nDraw the set without filters."
        )
    return real.subset(list(first.values()))


def class_medians(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """float64 ``(classes,)``; the median of all where a class has no value."""
    return torch.stack(
        [
            values[labels == label].median() if bool((labels == label).any()) else values.median()
            for label in range(classes)
        ]
    )


log = logging.getLogger(__name__)

SPEAKS = 20  # held-out images of a class from which its own share is stated
MANTISSA_BITS = 15  # of a score: its last digits could depend on the order of a sum


@dataclass(frozen=True)
class Threshold:
    """Keeps images whose score is at least ``thresholds[label]``, float32 ``(classes,)``.

    ``facts`` are for the set's papers: the thresholds, and how many held-out real images pass them.
    """

    thresholds: Tensor
    facts: Fact

    def verdicts(self, scores: Tensor, labels: Tensor) -> Verdicts:
        """Float ``(N,)`` scores (higher is better) and int64 ``(N,)`` labels."""
        scores = rounded(scores)
        return Verdicts(scores >= self.thresholds[labels], scores)


class Gated:
    """A filter that ends in a :class:`Threshold`."""

    gate: Threshold | None = None

    @property
    def line(self) -> Threshold:
        if self.gate is None:
            raise RuntimeError("fit() must come before examine()")
        return self.gate

    def facts(self) -> Fact:
        """For the set's papers once fitted: thresholds, share of real images kept."""
        return Fact() if self.gate is None else self.gate.facts


def threshold(
    scores: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    *,
    keep_real: float,
    threshold: float | None,
) -> Threshold:
    """A gate for scores like those ``(N,)`` of real images that the score was not fitted to.

    A class with enough held-out images gets its own threshold, so that no class pays for
    another's; a smaller one the lower of the common threshold and its own lowest score. With
    ``threshold`` it is that number for all, and ``keep_real`` says nothing. What the facts state is
    measured by leaving one out: each image meets the thresholds that the others set.
    """
    if not len(scores):
        raise SynthgenError(
            "A filter needs two different training images of some class at least.\n"
            "Draw the set without filters."
        )
    scores = rounded(scores)
    if threshold is not None:
        lines = rounded(torch.full((len(classes),), float(threshold)))
        passed = scores >= lines[labels]
    else:
        lines = _lines(scores, labels, len(classes), keep_real)
        passed = scores >= _lines_of_the_others(scores, labels, len(classes), keep_real)
        if not rank(keep_real, len(scores)):
            log.warning(
                "%d held-out real images are too few to keep %g of new ones: the filter rejects "
                "what scores below them all, and keeps about %.3f.",
                len(scores), keep_real, len(scores) / (len(scores) + 1),
            )  # fmt: skip
    return Threshold(lines, _facts(passed, labels, classes, lines, keep_real, threshold))


def _lines(scores: Tensor, labels: Tensor, classes: int, keep_real: float) -> Tensor:
    """The threshold of each class, float32 ``(classes,)``."""
    common = keeping(keep_real, scores)
    lines = torch.full((classes,), common)
    for label in labels.unique().tolist():
        mine = scores[labels == label]
        own = keeping(keep_real, mine)
        lines[label] = own if rank(keep_real, len(mine)) else min(common, own)
    return lines


def _lines_of_the_others(scores: Tensor, labels: Tensor, classes: int, keep_real: float) -> Tensor:
    """The threshold that each image would meet if it had not been there, float32 ``(N,)``."""
    common = _keeping_without(keep_real, scores)
    lines = common.clone()
    for label in labels.unique().tolist():
        mine = labels == label
        if int(mine.sum()) < 2:
            continue
        own = _keeping_without(keep_real, scores[mine])
        enough = rank(keep_real, int(mine.sum()) - 1)
        lines[mine] = own if enough else torch.minimum(common[mine], own)
    return lines


def _keeping_without(keep_real: float, scores: Tensor) -> Tensor:
    """:func:`keeping` of all scores but one, for each of ``(N,)``; -inf where there is no other."""
    if len(scores) < 2:
        return torch.full_like(scores, float("-inf"))
    order = scores.sort().values
    last = max(rank(keep_real, len(scores) - 1), 1) - 1
    return torch.where(scores <= order[last], order[last + 1], order[last])


def rank(keep_real: float, count: int) -> int:
    """Split conformal prediction (Papadopoulos et al. 2002): a new image exchangeable with
    ``count`` others scores at least their ``k``-th lowest with probability 1 - k / (count + 1);
    the largest ``k`` for which that is ``keep_real`` or more, 0 if there is none."""
    return int((count + 1) * (1 - keep_real) + 1e-9)


def keeping(keep_real: float, scores: Tensor) -> float:
    """The highest threshold that a new score passes with probability ``keep_real``; with too few
    scores to promise it, the lowest of them."""
    return float(scores.sort().values[max(rank(keep_real, len(scores)), 1) - 1])


def rounded(scores: Tensor) -> Tensor:
    """float32 of 15 significant bits: two ways to add the same numbers give the same score."""
    mantissa, exponent = torch.frexp(scores.double())
    scale = 2.0**MANTISSA_BITS
    return torch.ldexp((mantissa * scale).round() / scale, exponent).float()


def checked_share(keep_real: float) -> float:
    if not 0.5 <= keep_real < 1:
        raise SynthgenError(
            f"keep_real is {keep_real}, but must be from 0.5 to less than 1.\n"
            "It is the share of real images that the filter would keep; try 0.95."
        )
    return keep_real


def _interval(passed: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Clopper & Pearson 1934): how far this one fit may be off."""
    from scipy.stats import beta

    low = beta.ppf(0.025, passed, count - passed + 1) if passed else 0.0
    high = beta.ppf(0.975, passed + 1, count - passed) if passed < count else 1.0
    return round(float(low), 4), round(float(high), 4)


def _facts(
    passed: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    lines: Tensor,
    keep_real: float,
    threshold: float | None,
) -> Fact:
    """``passed`` bool ``(N,)``: did each held-out image pass the thresholds of the others? A share
    of one image's verdict alone would be 0 or 1, so a class without 20 has none of its own."""
    counts = torch.bincount(labels, minlength=len(classes))
    passing = torch.bincount(labels[passed], minlength=len(classes)) / counts.clamp(min=1)
    return Fact(
        keeps="scores of at least the threshold",
        thresholds=dict(zip(classes, lines.tolist(), strict=True)),
        asked_to_keep_of_real=keep_real if threshold is None else None,
        held_out_real_images=len(labels),
        keeps_of_real=round(float(passed.double().mean()), 4),
        keeps_of_real_95=_interval(int(passed.sum()), len(passed)),
        keeps_of_real_per_class={
            name: round(float(passing[label]), 4)
            for label, name in enumerate(classes)
            if counts[label] >= SPEAKS
        },
        too_few_to_promise=threshold is None and not rank(keep_real, len(labels)),
    )
