"""What may be said of the class or group that came out worst of many.

One of many is always the worst, also where all are alike, and what is picked for its value looks
further off than it is. So its interval is one of as many that hold together (Bonferroni), and it is
called worse only where it lies below all the others taken together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from synthgen.evaluation.metrics.intervals import Estimate, clopper_pearson, t_critical

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
