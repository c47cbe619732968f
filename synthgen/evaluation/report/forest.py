"""Geometry of a forest plot: every arm's difference with its interval on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from synthgen.evaluation.report.charts import Tick, nice_ticks, padded, tick_text
from synthgen.evaluation.report.intervals import scale
from synthgen.evaluation.report.wording import is_number


@dataclass(frozen=True)
class Difference:
    """One row: a difference in percentage points, in words and as numbers."""

    label: str
    value: float
    low: float
    high: float
    text: str
    verdict: str  # with its sign
    style: str
    primary: bool = False


@dataclass(frozen=True)
class Bar:
    y: float
    x: float | None  # None: beyond the axis
    left: float
    right: float
    cut_left: bool  # the interval goes on beyond the axis
    cut_right: bool
    row: Difference


@dataclass(frozen=True)
class Forest:
    title: str
    note: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    zero: float
    band: tuple[float, float] | None  # smaller differences do not matter
    bars: list[Bar]
    ticks: list[Tick]
    stacked: bool
    description: str
    file: str = ""


def forest_plot(
    title: str,
    note: str,
    rows: Sequence[Difference],
    *,
    minimum: float | None,
    layout: Literal["wide", "stacked"],
) -> Forest | None:
    """``minimum`` is the smallest difference that matters, in percentage points; ``stacked`` puts
    the words above the intervals, for narrow screens."""
    if not rows:
        return None
    stacked = layout == "stacked"
    width, row_height = (350.0, 46.0) if stacked else (880.0, 27.0)
    left, right = (6.0, 344.0) if stacked else (304.0, 596.0)
    low, high = limits(rows, minimum)
    at = scale(low, high, left, right, logarithmic=False)
    top = 20.0
    bottom = top + row_height * len(rows) + 4
    shift = 0.74 if stacked else 0.5
    bars = [
        Bar(
            round(top + row_height * (i + shift), 1),
            at(r.value) if low <= r.value <= high else None,
            at(r.low),
            at(r.high),
            r.low < low,
            r.high > high,
            r,
        )
        for i, r in enumerate(rows)
    ]
    band = (at(-minimum), at(minimum)) if is_number(minimum) and minimum > 0 else None
    ticks = [Tick(at(x), signed_tick(x)) for x in nice_ticks(low, high, 5)]
    description = "; ".join(f"{r.label}: {r.text} points, {r.verdict}" for r in rows)
    return Forest(
        title, note, width, bottom + 40, left, right, top, bottom, at(0.0), band, bars, ticks,
        stacked, description,
    )  # fmt: skip


def limits(rows: Sequence[Difference], minimum: float | None) -> tuple[float, float]:
    """The axis holds zero, the band and every interval, unless one arm is so far off that all
    others would shrink to dots: then it is cut to four times the reach of the typical arm."""
    reach = sorted(max(abs(r.low), abs(r.high)) for r in rows)
    primary = [max(abs(r.low), abs(r.high)) for r in rows if r.primary]
    most = max([4 * reach[(len(reach) - 1) // 2], *(1.2 * x for x in primary)])
    ends = [0.0, *(x for r in rows for x in (r.low, r.high))]
    if is_number(minimum):
        ends += [-minimum, minimum]
    return padded(max(min(ends), -most), min(max(ends), most), logarithmic=False, share=0.04)


def signed_tick(value: float) -> str:
    return f"+{tick_text(value)}" if value > 0 else tick_text(value)
