"""95 % intervals for the kinds of numbers that appear in a report, and p-values corrected for
the number of tests of one family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.95


class Estimate(NamedTuple):
    """A value with its 95 % interval; all three are None when there were too few images."""

    value: float | None
    low: float | None
    high: float | None

    def within(self, least: float, most: float = math.inf) -> Estimate:
        """The interval cut off where the value can't be."""
        low = None if self.low is None else max(least, self.low)
        high = None if self.high is None else min(most, self.high)
        return Estimate(self.value, low, high)


TOO_FEW = Estimate(None, None, None)


def t_critical(degrees: float, level: float = LEVEL) -> float:
    """Two-sided point of Student's t, 95 % by default; ``degrees`` may be fractional or
    infinite."""
    from scipy.stats import norm, t

    tail = (1 + level) / 2
    return float(norm.ppf(tail) if math.isinf(degrees) else t.ppf(tail, degrees))


def simultaneous(count: int) -> float:
    """The level of each of ``count`` intervals that all hold together at least at 95 %
    (Bonferroni): for whatever is picked from many because of how it came out."""
    return 1 - (1 - LEVEL) / max(count, 1)


def wilson(
    successes: float, count: float, *, degrees: float = math.inf, level: float = LEVEL
) -> Estimate:
    """Share with its Wilson score interval (Wilson 1927); stays inside [0, 1]. ``degrees`` are
    those of an estimated number of images, which may be fractional."""
    z = t_critical(degrees, level)
    share = successes / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    half = z * spread / (1 + z**2 / count)
    return Estimate(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def clopper_pearson(successes: float, count: float, level: float = LEVEL) -> Estimate:
    """Share with its exact binomial interval (Clopper & Pearson 1934), never too short; counts of a
    design effect may be fractional."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    failures = count - successes
    low = float(beta.ppf(tail, successes, failures + 1)) if successes > 0 else 0.0
    high = float(beta.ppf(1 - tail, successes + 1, failures)) if failures > 0 else 1.0
    return Estimate(successes / count, low, high)


def t_interval(
    value: float, parts: Sequence[tuple[float, float]], level: float = LEVEL
) -> Estimate:
    """Interval of an estimate whose variance is a sum of ``parts`` (variance, degrees of freedom).

    The degrees of freedom of the sum follow Satterthwaite (1946).
    """
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return Estimate(value, value, value)
    degrees = total**2 / sum(variance**2 / freedom for variance, freedom in parts if variance > 0)
    half = t_critical(degrees, level) * math.sqrt(total)
    return Estimate(value, value - half, value + half)


def jackknife_variance(values: Sequence[float]) -> tuple[float, float]:
    """Variance of a statistic from its values with one of G equal groups left out, and G - 1."""
    groups = len(values)
    mean = sum(values) / groups
    variance = (groups - 1) / groups * sum((value - mean) ** 2 for value in values)
    return variance, groups - 1


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979): below alpha, and the chance of *any* false alarm in the
    family is at most alpha, however the tests depend on each other."""
    p = np.asarray(p_values, dtype=np.float64)
    order = p.argsort(kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return _in_place(np.minimum(stepped, 1.0), order)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p-values (1995): of what lies below alpha, at most the
    share alpha are false alarms in the long run (independent or positively dependent tests)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = p.argsort(kind="stable")
    stepped = p[order] * len(p) / np.arange(1, len(p) + 1)
    return _in_place(np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1.0), order)


def _in_place(values: np.ndarray, order: np.ndarray) -> list[float]:
    found = np.empty_like(values)
    found[order] = values
    return [float(value) for value in found]
