"""How many real images the synthetic ones are worth, read off a learning curve of real data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synthgen.evaluation.trial.schema import Adds, Bound, RealEquivalent, Replaces

DRAWS = 2000  # of the curve and the score, each from its own uncertainty, for the intervals
MOST_TIMES = 100.0  # an extrapolation beyond so many times the real images is not a number
TAIL = 2.5  # percent on either side
FLAT = 0.005  # a learning curve that rises by less
LEAST_ERROR = 1e-4  # the logarithm of none would be infinite
FLOORS = np.linspace(0.0, 0.99, 100)  # of the least error measured: where the curve may level off
PLAUSIBLE = 3.84  # chi-squared beyond the best fit's: 95 % of one degree of freedom
WIDEST = 20.0  # an interval of which one end is so many times the other is no answer


@dataclass(frozen=True)
class Point:
    """A score at so many real images, with its standard error."""

    images: int
    value: float
    standard_error: float


def real_equivalent(
    curve: Sequence[Point], synthetic_only: Point, combined: Point, *, seed: int
) -> RealEquivalent:
    """Both equivalents with 95 % intervals by simulation.

    ``curve`` rises in images and ends with all of them. It is made to rise in value too (isotonic
    regression) and interpolated in log images for ``replaces``, never beyond its ends. For ``adds``
    it is followed beyond its end, which is marked as extrapolated, by every curve
    error = floor + c · images^-a (Hestness et al. 2017, section 3) that fits it: no curve of real
    images says by itself where it will level off, so what isn't known of the floor is in the
    interval, and where the interval is too wide for an answer a reason says so. Every point is
    drawn anew from its normal distribution in each simulation.
    """
    rng = np.random.default_rng(seed)
    draws = [
        [
            Point(p.images, float(value), p.standard_error)
            for p, value in zip(curve, row, strict=True)
        ]
        for row in rng.normal(
            [point.value for point in curve],
            [point.standard_error for point in curve],
            size=(DRAWS, len(curve)),
        )
    ]
    alone = rng.normal(synthetic_only.value, synthetic_only.standard_error, DRAWS)
    both = rng.normal(combined.value, combined.standard_error, DRAWS)
    replaced = [replaces(some, float(value)) for some, value in zip(draws, alone, strict=True)]
    adds, reason = _adds(curve, combined.value, draws, both, rng)
    images = replaces(curve, synthetic_only.value)
    low, high = _interval(replaced, images)
    return RealEquivalent(
        replaces=Replaces(
            images=round(images),
            ci_low=low,
            ci_high=high,
            bound=bound_of(curve, synthetic_only.value),
            fewest=curve[0].images,
            most=curve[-1].images,
            explained="bound: 'at least' or 'at most' where synthetic only scores beyond the "
            "learning curve's ends, fewest and most real images; an interval's end that lies on "
            "one of them means 'or fewer', 'or more'",
        ),
        adds=adds,
        reason=reason,
    )


def replaces(curve: Sequence[Point], value: float) -> float:
    """Real images at which the curve reaches ``value``; its first or last point beyond its ends."""
    from sklearn.isotonic import isotonic_regression

    images = np.log([point.images for point in curve])
    rising = isotonic_regression([point.value for point in curve])
    if value <= rising[0]:
        return float(curve[0].images)
    if value >= rising[-1]:
        # The first size from which more real images no longer scored better.
        return float(curve[int(np.searchsorted(rising, rising[-1]))].images)
    above = int(np.searchsorted(rising, value, side="right"))
    low, high = rising[above - 1], rising[above]
    share = (value - low) / (high - low)
    return float(math.exp(images[above - 1] + share * (images[above] - images[above - 1])))


def bound_of(curve: Sequence[Point], value: float) -> Bound | None:
    """On which side of the truth :func:`replaces` can lie: None within the curve."""
    from sklearn.isotonic import isotonic_regression

    rising = isotonic_regression([point.value for point in curve])
    if value <= rising[0]:
        return "at most"
    return "at least" if value >= rising[-1] else None


def _adds(
    curve: Sequence[Point],
    combined: float,
    draws: Sequence[Sequence[Point]],
    combined_draws: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Adds | None, str | None]:
    first, last = curve[0], curve[-1]
    error = math.hypot(first.standard_error, last.standard_error)
    rise = last.value - first.value
    if rise < FLAT:
        return None, (
            f"The learning curve is flat between {first.images:,} and {last.images:,} real images "
            f"({100 * first.value:.1f} % and {100 * last.value:.1f} %), so the gain can't be "
            "expressed in real images."
        )
    if rise < 2 * error:
        return None, (
            f"The learning curve rises from {100 * first.value:.1f} % with {first.images:,} real "
            f"images to {100 * last.value:.1f} % with {last.images:,}, but by less than twice its "
            "standard error: too uncertain to express the gain in real images."
        )
    if combined <= last.value:
        return None, "Real + synthetic scores no better than the real images alone."
    reached = extrapolated(
        np.array([point.images for point in curve], dtype=np.float64),
        errors_of([[point.value for point in some] for some in draws]),
        np.array([max(point.standard_error, 1e-9) for point in curve]),
        errors_of(combined_draws),
        rng,
    )
    further = np.minimum(reached, MOST_TIMES * last.images) - last.images
    middle = float(np.median(further))
    low, high = _interval(further.tolist(), middle)
    ceiling = round((MOST_TIMES - 1) * last.images)
    if low >= ceiling:
        return None, (
            f"More than {MOST_TIMES:g} times the real images would be needed; the learning curve "
            "can't be followed so far."
        )
    if high >= ceiling or (high > WIDEST * low and high > last.images):
        most = "more than " if high >= ceiling else ""
        return None, (
            f"What the images add can't be said in real ones: it may be {low:,} more real images "
            f"or {most}{high:,}, depending on where the learning curve levels off, which its "
            f"{len(curve)} points don't show."
        )
    return Adds(images=round(middle), ci_low=low, ci_high=high, extrapolated=True), None


def errors_of(values: ArrayLike) -> np.ndarray:
    return np.maximum(1 - np.asarray(values, dtype=np.float64), LEAST_ERROR)


def extrapolated(
    images: np.ndarray,
    errors: np.ndarray,
    deviations: np.ndarray,
    targets: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """float64 ``(D,)``: images at which each drawn curve reaches its target; infinite if never.

    ``errors`` ``(D, P)`` are D drawings of a curve at ``images`` ``(P,)``, with standard deviations
    ``deviations``; ``targets`` ``(D,)``. Each drawing takes one of the floors that fit it
    (chi-squared of the straight line through log(error - floor) against log(images)) and is shifted
    to run through its last point. A target no better than that is reached there.
    """
    floors = FLOORS * errors.min(1, keepdims=True)  # (D, F)
    above = errors[:, None, :] - floors[:, :, None]
    weights, y = (above / deviations) ** 2, np.log(above)
    total = weights.sum(-1, keepdims=True)
    x = np.log(images) - (weights * np.log(images)).sum(-1, keepdims=True) / total
    y = y - (weights * y).sum(-1, keepdims=True) / total
    slopes = (weights * x * y).sum(-1) / (weights * x**2).sum(-1)
    misfit = (weights * (y - slopes[..., None] * x) ** 2).sum(-1)
    fits = misfit <= misfit.min(1, keepdims=True) + PLAUSIBLE
    pick = (rng.random(fits.shape) * fits).argmax(1)
    rows = np.arange(len(errors))
    slope, floor, last = slopes[rows, pick], floors[rows, pick], errors[:, -1]
    with np.errstate(all="ignore"):
        times = np.where(
            (slope < 0) & (targets > floor),
            ((targets - floor) / (last - floor)) ** (1 / slope),
            np.inf,
        )
    return images[-1] * np.where(targets >= last, 1.0, times)


def _interval(values: Sequence[float], estimate: float) -> tuple[int, int]:
    """The middle 95 %; made to hold the estimate, which the curve's ends can leave outside."""
    low, high = np.percentile(values, [TAIL, 100 - TAIL])
    return round(min(float(low), estimate)), round(max(float(high), estimate))
