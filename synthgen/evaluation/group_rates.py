"""Rates of classes and groups over images, and what may be said of the lowest of many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from synthgen.metrics.manifold import HALVINGS, scatter_of
from synthgen.stats import (
    LEVEL,
    Estimate,
    clopper_pearson,
    simultaneous,
    t_critical,
    t_interval,
    wilson,
)

# Shares of images that were classified rightly, and their differences, over images (or groups of
# images that belong together) and trainings.


def by_unit(values: np.ndarray, units: np.ndarray) -> np.ndarray:
    """``(..., N)`` -> ``(..., units)`` with the same mean: each unit's summed deviation from it, so
    that units of many images count more."""
    _, unit = np.unique(units, return_inverse=True)
    count = int(unit.max()) + 1
    mean = values.mean(-1, keepdims=True)
    return mean + (values - mean) @ np.eye(count)[unit] * (count / values.shape[-1])


def wider(one: Estimate, other: Estimate) -> Estimate:
    ends = [end for end in (*one[1:], *other[1:]) if end is not None]
    return Estimate(one.value, min(ends), max(ends))


def rate(right: np.ndarray, units: np.ndarray | None = None, level: float = LEVEL) -> Estimate:
    """Mean of ``(seeds, N)`` zeros and ones, over images, or over ``units`` of them if those make
    the interval longer."""
    alone = image_rate(right, level)
    count = right.shape[1] if units is None else len(np.unique(units))
    if units is None or count == right.shape[1]:
        return alone
    value = float(right.mean())
    if count == 1:
        return Estimate(value, 0.0, 1.0)
    together = wilson(value * count, count, level=level)
    if 0 < value < 1:
        grouped = by_unit(right, units)
        spread = t_interval(value, _variances(grouped.mean(0), right.mean(1)), level)
        together = spread.within(0.0, 1.0)
    return wider(alone, together)


def image_rate(right: np.ndarray, level: float = LEVEL) -> Estimate:
    """Mean of ``(seeds, N)`` zeros and ones. One training: Wilson's interval. Several: t, the
    variance between images plus that between trainings; Wilson's where all are right or wrong."""
    seeds, count = right.shape
    value = float(right.mean())
    alone = wilson(value * count, count, level=level)
    if seeds == 1 or value in (0.0, 1.0):  # that nothing varied doesn't mean that nothing could
        return alone
    return t_interval(value, _variances(right.mean(0), right.mean(1)), level).within(0.0, 1.0)


def paired_difference(
    before: np.ndarray,
    after: np.ndarray,
    units: np.ndarray | None = None,
    level: float = LEVEL,
) -> Estimate:
    """:func:`image_difference`, or the same over ``units`` of images if that is longer."""
    alone = image_difference(before, after, level)
    if units is None:
        return alone
    return wider(alone, image_difference(by_unit(before, units), by_unit(after, units), level))


def image_difference(before: np.ndarray, after: np.ndarray, level: float = LEVEL) -> Estimate:
    """Mean of after - before, both ``(seeds, N)``, on the same images; ``value`` is that mean.

    For the interval two pseudo-images are added: half of one won, half of one lost, and one
    unchanged (Agresti and Min 2005). Without them a small group where nothing changed would have no
    uncertainty. Trainings are paired where both have as many.
    """
    change = after.mean(0) - before.mean(0)
    count, value = len(change) + 2, float(change.mean())
    centre = float(change.sum()) / count
    variance = (float(np.square(change).sum()) + 1) / count - centre**2
    parts = [(variance / count, float(count - 1))]
    if before.shape[0] == after.shape[0]:
        by_seed = [after.mean(1) - before.mean(1)]
    else:
        by_seed = [before.mean(1), after.mean(1)]
    parts += [
        (float(side.var(ddof=1)) / len(side), float(len(side) - 1))
        for side in by_seed
        if len(side) > 1
    ]
    around = t_interval(centre, parts, level).within(-1.0, 1.0)
    low, high = around.low or 0.0, around.high or 0.0
    return Estimate(value, min(value, low), max(value, high))


def _variances(by_image: np.ndarray, by_seed: np.ndarray) -> list[tuple[float, float]]:
    return [
        (float(values.var(ddof=1)) / len(values), float(len(values) - 1))
        for values in (by_image, by_seed)
        if len(values) > 1
    ]


# What may be said of the class or group that came out worst of many.
#
# One of many is always the worst, also where all are alike, and what is picked for its value looks
# further off than it is. So its interval is one of as many that hold together (Bonferroni), and it
# is called worse only where it lies below all the others taken together.

DRAWS = 400  # of the distance between best and worst that chance makes


def newcombe(one: Estimate, other: Estimate) -> Estimate:
    """Interval of one share less another, from the intervals of both (Newcombe 1998, method 10)."""
    ends = (one.low, one.high, other.low, other.high)
    if one.value is None or other.value is None or None in ends:
        return Estimate(None, None, None)
    low, high, other_low, other_high = (end or 0.0 for end in ends)
    value = one.value - other.value
    down = math.hypot(one.value - low, other_high - other.value)
    up = math.hypot(high - one.value, other.value - other_low)
    return Estimate(value, value - down, value + up)


def never_too_short(estimate: Estimate, count: float, level: float) -> Estimate:
    """At least the exact binomial interval of ``count`` images: far out in the tails, where many
    are corrected for, a normal approximation of few images promises too much."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate
    exact = clopper_pearson(estimate.value * count, count, level)
    low, high = exact.low or 0.0, 1.0 if exact.high is None else exact.high
    return Estimate(estimate.value, min(estimate.low, low), max(estimate.high, high))


def below(one: Estimate, others: Estimate) -> bool:
    """Whether the first is surely lower; both intervals at the level of the picking."""
    high = newcombe(one, others).high
    return high is not None and high < 0


def distance_by_chance(intervals: Sequence[tuple[float, float]]) -> float:
    """Expected distance between the highest and the lowest of as many equal values, measured as
    exactly as these 95 % intervals say."""
    scale = 2 * t_critical(math.inf)
    deviations = np.array([(high - low) / scale for low, high in intervals])
    drawn = np.random.default_rng(0).standard_normal((DRAWS, len(deviations))) * deviations
    return min(1.0, float((drawn.max(1) - drawn.min(1)).mean()))


# Which share of the real images of a class or group the synthetic set reaches.


class Reach:
    """Shares with the scatter of both sets: whether real images are reached depends on synthetic
    ones that they share.

    Args:
        reached: bool ``(M,)``, of the real images.
        of_halves, half: bool ``(S, M)``, the same of halves of both sets, and which half each image
            was in.
        members: ascending positions of the images of each class or group that is looked at.
    """

    def __init__(
        self,
        reached: np.ndarray,
        of_halves: Tensor,
        half: Tensor,
        members: Mapping[str, np.ndarray],
    ) -> None:
        self.reached, self.of_halves, self.half = reached, of_halves, half
        self.members = members
        self.usual = self._usual_effect()

    def _usual_effect(self) -> float:
        """How many times as much as single images those of one class scatter, over all classes: 20
        halvings of a few images don't tell it for one of them."""
        found, single = 0.0, 0.0
        for own in self.members.values():
            scatter = scatter_of(self.of_halves, self.half, torch.from_numpy(own))
            found += scatter.variance * len(own)
            single += scatter.at_half * (1 - scatter.at_half)
        return max(found / single, 1.0) if single > 0 else 1.0

    def share(self, own: np.ndarray, level: float = LEVEL) -> Estimate:
        """Of the images at these positions."""
        value, count = float(self.reached[own].mean()), len(own)
        scatter = scatter_of(self.of_halves, self.half, torch.from_numpy(own))
        single = scatter.at_half * (1 - scatter.at_half)
        effect = scatter.variance * count / single if single > 0 else 1.0
        alike = count / max(effect, self.usual)
        found = wilson(value * alike, alike, degrees=HALVINGS, level=level)
        return never_too_short(found, alike, level) if level > LEVEL else found

    def lowest(self) -> str:
        shares = {name: float(self.reached[own].mean()) for name, own in self.members.items()}
        return min(shares, key=lambda name: (shares[name], name))

    def apart(self, name: str) -> tuple[Estimate, Estimate]:
        """The share of one that was picked, and that of all the others together; at the level of
        the picking."""
        level = simultaneous(len(self.members))
        others = np.concatenate([own for other, own in self.members.items() if other != name])
        return self.share(self.members[name], level), self.share(others, level)
