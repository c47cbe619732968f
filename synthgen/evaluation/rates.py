"""Shares of images that were classified rightly, and their differences, over images (or groups of
images that belong together) and trainings."""

from __future__ import annotations

import numpy as np

from synthgen.evaluation.metrics.intervals import LEVEL, Estimate, t_interval, wilson


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
