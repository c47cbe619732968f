"""How many copies are too many, and how near is too near, by how real images behave.

Exact copies are counted. Near ones have a score: the distance to the nearest training image over
the mean distance to the next ones, 0 for a copy, towards 1 for an image among its neighbours. Two
tests of it share the false alarms:

- *One image alone*: a rank among m held-back images can't be rarer than 1 / (m + 1), however near
  the image lies. So the lower tail is carried on: around any point the distances to its nearest
  neighbours follow a power law (Amsaleg et al. 2015), so a small score t is a share ∝ t^k of all.
  The exponent is estimated from the smallest scores (Hill 1975), and a share read off beyond them
  (Weissman 1978) with the exponent's own uncertainty, times the number of images looked at.
- *Many together*: how many lie below the smallest scores of the held-back images, by rank alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synthgen.evaluation.schema import Copying, TwinCounts
from synthgen.images import image_hashes
from synthgen.types import LabelledImages

LEVEL = 0.001  # chance below which more twins than real images have are copies
FALSE_ALARMS = 0.01  # of honest sets that are flagged for near copies, by both tests together
CHANCE = 0.002  # of held-back images lie below the line from which images count as near copies
FEWEST_HELD = 20  # held-back images, with fewer nothing is said
TAIL_SHARE, TAIL_LEAST, TAIL_MOST = 0.01, 10, 50  # of the held-back images make the tail
MATERIAL = 0.15  # score from which no single image is called a copy: natural twins lie above it
TINY = 1e-6
NEARER_TO_TRAIN = 0.55  # share nearer to train from which a set is flagged


def exactly_copied(found: Copying) -> bool:
    return found.twins is not None and found.twins.flagged


def nearly_copied(found: Copying) -> bool:
    return found.p < FALSE_ALARMS


def too_close(found: Copying) -> bool:
    """Whether the set is nearer to its training images than to held-back ones, and more so than
    real images are."""
    own, usual = found.share_nearer_train, found.share_nearer_train_real
    if own is None or own.ci_low is None or usual is None or usual.ci_high is None:
        return False
    return own.ci_low > max(NEARER_TO_TRAIN, usual.ci_high)


@dataclass(frozen=True)
class Twins:
    """Exact copies: how many, and which synthetic images (int64, ascending)."""

    counts: TwinCounts
    positions: Tensor

    def among(self, rows: Tensor) -> Tensor:
        """bool ``(N,)``: which of the synthetic images at the positions ``rows`` are copies."""
        return torch.isin(rows, self.positions)


def find_twins(
    synthetic: LabelledImages,
    trained_on: Sequence[LabelledImages],
    held_back: Sequence[LabelledImages],
) -> Twins:
    """One copy is enough where real images never repeat themselves.

    Where they do (blank images, say), copies of training images that occur once still count at
    once, unless held-back images have twins too; the rest is compared with the share of real images
    that have a twin. Splits keep equal images together, so the training images themselves tell.
    """
    known = Counter(name for images in trained_on for name in image_hashes(images.images))
    names = image_hashes(synthetic.images)
    equal = torch.tensor([name in known for name in names], dtype=torch.bool)
    found = [name for name in names if name in known]
    fresh = [name for images in held_back for name in image_hashes(images.images)]
    twins = sum(name in known for name in fresh)
    repeated = sum(count for count in known.values() if count > 1)
    single = any(known[name] == 1 for name in found)
    flagged = bool(found) and (
        (single and not twins)
        or more_often(len(set(found)), len(synthetic), twins + repeated, len(fresh) + known.total())
    )
    counts = TwinCounts(
        copies=len(found),
        sources=len(set(found)),
        images=len(synthetic),
        held_back=twins,
        flagged=flagged,
    )
    return Twins(counts, equal.nonzero().flatten())


def more_often(copies: int, count: int, usual: int, among: int) -> bool:
    """Are ``copies`` of ``count`` more than chance makes of ``usual`` among ``among``, by Fisher's
    exact test?"""
    from scipy.stats import hypergeom

    return float(hypergeom.sf(copies - 1, count + among, copies + usual, count)) < LEVEL


@dataclass(frozen=True)
class Found:
    """Two p values and the images behind them."""

    near: Tensor  # bool (N,): below the line
    alone: Tensor  # bool (N,): too near for any of so many honest images
    p: float  # of both tests together
    threshold: float  # the line


@dataclass(frozen=True)
class Usual:
    """Scores of held-back real images, float64 ``(M,)`` ascending, at least ``FEWEST``."""

    scores: Tensor

    @property
    def allowed(self) -> int:
        """How many of them lie on or below the line."""
        return max(1, round(CHANCE * len(self.scores)))

    @property
    def threshold(self) -> float:
        return float(self.scores[self.allowed - 1])

    def chance(self, scores: Tensor) -> Tensor:
        """Probability that a new real image scores as low, float64 ``(N,)``; 1 outside the tail.

        For log(edge / score) exponential with an unknown rate and j values of it, a new one exceeds
        x with probability (1 + x / their sum)^-j: x over their mean is F(2, 2 j).
        """
        count = tail_size(len(self.scores))
        edge = self.scores[count]
        depth = (edge / self.scores[:count].clamp_min(TINY)).log().sum().clamp_min(TINY)
        beyond = (edge / scores.clamp_min(TINY)).log()
        share = (count + 1) / (len(self.scores) + 1)
        return torch.where(beyond > 0, share * (1 + beyond.clamp_min(0) / depth) ** -count, 1.0)

    def alone(self, scores: Tensor, among: int) -> Tensor:
        """p values float64 ``(N,)`` of single images, the nearest of ``among`` honest ones."""
        p = (among * self.chance(scores)).clamp_max(1)
        return torch.where(scores < MATERIAL, p, 1.0)

    def together(self, scores: Tensor, twins: Tensor, among: int) -> float:
        """p value of the count: ``twins`` int64 ``(N,)`` says which training image is nearest, and
        each counts once, or a set that repeats itself would be taken for many witnesses."""
        lines = sorted({1, self.allowed})
        chances = []
        for allowed in lines:
            hits = len(twins[scores < self.scores[allowed - 1]].unique())
            chances.append(exceedance(hits, among, allowed, len(self.scores)))
        return min(1.0, len(lines) * min(chances))

    def judge(self, scores: Tensor, twins: Tensor, among: int) -> Found:
        """Scores float64 ``(N,)``, ``among`` different images."""
        single = self.alone(scores, among)
        p = min(1.0, 2 * min(float(single.min()), self.together(scores, twins, among)))
        return Found(scores < self.threshold, 2 * single < FALSE_ALARMS, p, self.threshold)


def tail_size(count: int) -> int:
    return min(max(TAIL_LEAST, round(TAIL_SHARE * count)), TAIL_MOST, count // 2)


def exceedance(near: int, count: int, allowed: int, calibrated_on: int) -> float:
    """Chance that ``near`` or more of ``count`` honest images lie below the ``allowed``-th smallest
    of ``calibrated_on`` reference values, if both come from one distribution: among the smallest
    near + allowed - 1 of all, fewer than ``allowed`` are reference images."""
    if near == 0:
        return 1.0
    from scipy.stats import hypergeom

    smallest = near + allowed - 1
    return float(hypergeom.cdf(allowed - 1, count + calibrated_on, calibrated_on, smallest))


def fewest_flagged(usual: Usual, planted: Tensor, among: int, power: float) -> int | None:
    """How many copies among ``among`` images are found with probability ``power``; None if not even
    a set of nothing else is. ``planted``: scores float64 ``(P,)`` of known copies. The honest rest
    of the set is taken to add no hit of its own, so it is rather fewer."""
    from scipy.stats import binom

    singly = float((2 * usual.alone(planted, among) < FALSE_ALARMS).double().mean())
    lines = sorted({1, usual.allowed})
    together = []
    for allowed in lines:
        share = float((planted < usual.scores[allowed - 1]).double().mean())
        needed = hits_needed(among, allowed, len(usual.scores), FALSE_ALARMS / 2 / len(lines))
        together.append((share, needed))

    def found(copies: int) -> float:
        by_count = [float(binom.sf(n - 1, copies, share)) for share, n in together]
        return max(1 - (1 - singly) ** copies, *by_count)

    if found(among) < power:
        return None
    low, high = 0, among  # found(low) < power <= found(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) >= power else (middle, high)
    return high


def hits_needed(count: int, allowed: int, calibrated_on: int, level: float) -> int:
    """The fewest hits whose :func:`exceedance` is below ``level``; ``count`` + 1 if there are none
    such."""
    low, high = 0, count + 1
    while high - low > 1:
        middle = (low + high) // 2
        rare = exceedance(middle, count, allowed, calibrated_on) < level
        low, high = (low, middle) if rare else (middle, high)
    return high
