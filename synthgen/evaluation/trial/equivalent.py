"""How many real images the synthetic ones are worth, read off a learning curve of real data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 2000  # of the curve and the score, each from its own uncertainty, for the intervals
MOST_TIMES = 100.0  # an extrapolation beyond so many times the real images is not a number
TAIL = 2.5  # percent on either side
FLAT = 0.005  # a learning curve that rises by less


@dataclass(frozen=True)
class Point:
    """A score at so many real images, with its standard error."""

    images: int
    value: float
    standard_error: float


@dataclass(frozen=True)
class Equivalent:
    """``replaces``: real images that score as the synthetic set alone does; its ``bound`` is
    "at most" or "at least" where that score is beyond the learning curve's ends, which are
    ``fewest`` and ``most``. ``adds``: further real images that would score as real + synthetic
    does. Where one is None, ``reason`` says why."""

    replaces: dict[str, Any] | None
    adds: dict[str, Any] | None
    reason: str | None

    def to_json(self) -> dict[str, Any]:
        return {"replaces": self.replaces, "adds": self.adds, "reason": self.reason}


def real_equivalent(
    curve: Sequence[Point], synthetic_only: Point, combined: Point, *, seed: int
) -> Equivalent:
    """Both equivalents with 95 % intervals by simulation.

    ``curve`` rises in images and ends with all of them. It is made to rise in value too (isotonic
    regression) and interpolated in log images for ``replaces``, never beyond its ends; for ``adds``
    error = c · images^-a (Hestness et al. 2017) is fitted to it and followed beyond its end, which
    is marked as extrapolated. Every point is drawn anew from its normal distribution in each
    simulation.
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
    adds, reason = _adds(curve, combined.value, draws, both)
    images = replaces(curve, synthetic_only.value)
    return Equivalent(
        replaces={
            "images": round(images),
            **_interval(replaced, images),
            "bound": bound_of(curve, synthetic_only.value),
            "fewest": curve[0].images,
            "most": curve[-1].images,
            "explained": "bound: 'at least' or 'at most' where synthetic only scores beyond the "
            "learning curve's ends, fewest and most real images; an interval's end that lies on "
            "one of them means 'or fewer', 'or more'",
        },
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


def bound_of(curve: Sequence[Point], value: float) -> str | None:
    """On which side of the truth :func:`replaces` can lie: None within the curve."""
    from sklearn.isotonic import isotonic_regression

    rising = isotonic_regression([point.value for point in curve])
    if value <= rising[0]:
        return "at most"
    return "at least" if value >= rising[-1] else None


def spans_curve(found: Mapping[str, Any]) -> bool:
    """Whether the interval of ``replaces`` reaches from one end of the curve to the other."""
    low, high = found.get("fewest"), found.get("most")
    if low is None or high is None:
        return False
    return bool(found["ci_low"] <= low and found["ci_high"] >= high)


def worth_interval(found: Mapping[str, Any]) -> str:
    """``49 to 220 or more``: an end on the learning curve's end is only a bound."""
    low, high = found["ci_low"], found["ci_high"]
    first = f"{low:,} or fewer" if low <= found.get("fewest", -1) else f"{low:,}"
    last = f"{high:,} or more" if high >= found.get("most", math.inf) else f"{high:,}"
    return f"{first} to {last}" if low != high else max(first, last, key=len)


def _adds(
    curve: Sequence[Point],
    combined: float,
    draws: Sequence[Sequence[Point]],
    combined_draws: np.ndarray,
) -> tuple[dict[str, Any] | None, str | None]:
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
    value = extrapolated(curve, combined)
    if value is None:
        return None, (
            f"More than {MOST_TIMES:g} times the real images would be needed; the learning curve "
            "can't be followed so far."
        )
    simulated = [
        extrapolated(some, float(score)) for some, score in zip(draws, combined_draws, strict=True)
    ]
    n, ceiling = last.images, MOST_TIMES * last.images
    further = [max(0.0, (ceiling if one is None else one) - n) for one in simulated]
    return {"images": round(value - n), **_interval(further, value - n), "extrapolated": True}, None


def extrapolated(curve: Sequence[Point], value: float) -> float | None:
    """Images at which the fitted power law, shifted to run through the last point, reaches
    ``value``; the last point's for less, None beyond ``MOST_TIMES`` as many."""
    errors = np.array([max(1 - point.value, 1e-4) for point in curve])
    images = np.array([float(point.images) for point in curve])
    # The far end of a learning curve predicts what follows; the near end often doesn't.
    slope = float(np.polyfit(np.log(images), np.log(errors), 1, w=np.sqrt(images))[0])
    target, last = max(1 - value, 1e-4), errors[-1]
    if target >= last:
        return float(images[-1])
    if slope >= 0:
        return None
    times = (target / last) ** (1 / slope)
    return float(images[-1] * times) if times <= MOST_TIMES else None


def _interval(values: Sequence[float], estimate: float) -> dict[str, int]:
    """The middle 95 %; made to hold the estimate, which the curve's ends can leave outside."""
    low, high = np.percentile(values, [TAIL, 100 - TAIL])
    return {
        "ci_low": round(min(float(low), estimate)),
        "ci_high": round(max(float(high), estimate)),
    }
