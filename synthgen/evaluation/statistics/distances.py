"""One number per image, compared between real and synthetic images."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from synthgen.evaluation.statistics.corrections import benjamini_hochberg, holm

EFFECTS = ((0.2, "negligible"), (0.5, "small"), (0.8, "medium"))  # Cohen (1988), in SDs
DISTANCES = ((0.1, "negligible"), (0.2, "small"), (0.35, "medium"))
"""Kolmogorov-Smirnov's D of two normal distributions whose means lie 0.25, 0.5 and 0.9 SDs apart,
so that the words mean about the same for both sizes."""


@dataclass(frozen=True)
class Shift:
    """How one statistic differs between the two sets.

    Attributes:
        ks: Kolmogorov-Smirnov's D, 0 (same distribution) .. 1 (no overlap), and its p.
        wasserstein: 1-Wasserstein distance in the statistic's own unit.
        effect: (mean fake - mean real) / pooled standard deviation; None if nothing varies.
        p_adjusted: Holm's, over the whole family; p_bh: Benjamini and Hochberg's.
    """

    statistic: str
    ks: float
    p: float
    p_adjusted: float
    p_bh: float
    wasserstein: float
    effect: float | None
    size: str
    real_mean: float
    fake_mean: float
    real_sd: float
    fake_sd: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare_each(family: Iterable[tuple[str, Any, Any]]) -> list[Shift]:
    """Each (statistic, its real values ``(N,)``, its fake values ``(M,)``) of one family of tests.
    Values are finite; ``p`` is conservative where many are equal."""
    from scipy.stats import ks_2samp, wasserstein_distance

    rows = []
    for name, real, fake in family:
        ours, theirs = np.asarray(real, np.float64), np.asarray(fake, np.float64)
        with warnings.catch_warnings():  # where "exact" fails it goes on by itself, aloud
            warnings.filterwarnings("ignore", "ks_2samp: Exact calculation", RuntimeWarning)
            test = ks_2samp(ours, theirs, method="auto")
        distance = float(wasserstein_distance(ours, theirs))
        rows.append((name, ours, theirs, float(test.statistic), float(test.pvalue), distance))
    p_values = [row[4] for row in rows]
    found = []
    for row, adjusted, rate in zip(rows, holm(p_values), benjamini_hochberg(p_values), strict=True):
        name, ours, theirs, ks, p, distance = row
        effect = standardised_difference(ours, theirs)
        found.append(
            Shift(
                statistic=name,
                ks=ks,
                p=p,
                p_adjusted=adjusted,
                p_bh=rate,
                wasserstein=distance,
                effect=effect,
                size=size_in_words(effect, ks),
                real_mean=float(ours.mean()),
                fake_mean=float(theirs.mean()),
                real_sd=float(ours.std(ddof=1)),
                fake_sd=float(theirs.std(ddof=1)),
            )
        )
    return found


def standardised_difference(real: np.ndarray, fake: np.ndarray) -> float | None:
    """Cohen's d with the root mean square of both standard deviations; None if nothing varies."""
    pooled = math.sqrt((float(real.var(ddof=1)) + float(fake.var(ddof=1))) / 2)
    difference = float(fake.mean() - real.mean())
    if pooled <= 1e-12 * max(1.0, abs(float(real.mean()))):
        return None if difference else 0.0
    return difference / pooled


def size_in_words(effect: float | None, ks: float) -> str:
    """The larger of the two sizes: a mean may stay where it is while the spread changes."""
    words = [*[word for _, word in EFFECTS], "large"]
    shift = len(EFFECTS) if effect is None else sum(abs(effect) >= limit for limit, _ in EFFECTS)
    return words[max(shift, sum(ks >= limit for limit, _ in DISTANCES))]
