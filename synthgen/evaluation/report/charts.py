"""Geometry of the page's two kinds of chart; the templates turn it into SVG.

Positions are in SVG user units, already rounded. Colours are CSS classes, so that one drawing
serves light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from synthgen.evaluation.report.wording import decimals, is_number

MAX_POINTS = 300  # per line: more can't be told apart on a page and would only make it heavy


@dataclass(frozen=True)
class Mark:
    """One row of a dot plot: a value with its interval, in the data's unit."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    text: str
    style: str = "other"


@dataclass(frozen=True)
class Tick:
    position: float
    text: str


@dataclass(frozen=True)
class Dot:
    y: float
    x: float | None
    left: float | None
    right: float | None
    mark: Mark


@dataclass(frozen=True)
class DotPlot:
    title: str
    note: str
    width: float
    height: float
    left: float
    right: float
    bottom: float
    dots: list[Dot]
    ticks: list[Tick]
    logarithmic: bool
    description: str
    file: str = ""  # the same drawing as a file, relative to the report's folder


@dataclass(frozen=True)
class Line:
    label: str
    points: str
    style: str
    markers: list[tuple[float, float]] = field(default_factory=list)
    area: str = ""  # the interval around the line, as a polygon
    chosen: list[tuple[float, float]] = field(default_factory=list)  # ringed points


@dataclass(frozen=True)
class Level:
    """A horizontal line across a chart, with the interval around it."""

    label: str
    style: str
    y: float
    top: float
    bottom: float


@dataclass(frozen=True)
class LineChart:
    title: str
    x_label: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    description: str
    note: str = ""
    levels: list[Level] = field(default_factory=list)
    file: str = ""


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers (1, 2, 2.5 or 5 times a power of ten) within [low, high]."""
    if high <= low:
        return [low]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Short: thousands as k and M, no trailing zeros."""
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e6 if unit == 'M' else 1e3):g}{unit}"
    return f"{value:.6g}".replace("-", "−")


def dot_plot(
    title: str,
    note: str,
    marks: Sequence[Mark],
    *,
    axis: Literal["linear", "by_span"] = "linear",
    width: float = 360,
    label_width: float = 124,
    text_width: float = 66,
    row: float = 22,
) -> DotPlot | None:
    """Rows of dots with their intervals on one axis; None when there is no value at all.

    ``by_span`` makes the axis logarithmic when positive values span more than two powers of ten:
    a distance of noise beside that of a good model.
    """
    numbers = [x for m in marks for x in (m.value, m.low, m.high) if is_number(x)]
    values = [m.value for m in marks if is_number(m.value)]
    if not values:
        return None
    logarithmic = axis == "by_span" and min(values) > 0 and max(values) / min(values) > 100
    smallest = max(min(numbers), min(values) / 3) if logarithmic else min(numbers)
    low, high = padded(smallest, max(numbers), logarithmic)
    left, right, top = label_width, width - text_width, 8.0
    bottom = top + row * len(marks)

    def place(value: float | None) -> float | None:
        if value is None or not is_number(value):
            return None
        if logarithmic:  # an interval that reaches zero ends at the axis' edge
            share = math.log(max(value, low) / low) / math.log(high / low)
        else:
            share = (value - low) / (high - low)
        return round(left + share * (right - left), 1)

    dots = [
        Dot(round(top + row * (i + 0.5), 1), place(m.value), place(m.low), place(m.high), m)
        for i, m in enumerate(marks)
    ]
    found = _log_ticks(low, high) if logarithmic else nice_ticks(low, high, 4)
    ticks = [Tick(place(value) or left, tick_text(value)) for value in found]
    description = "; ".join(f"{m.label}: {m.text}" for m in marks)
    return DotPlot(
        title, note, width, bottom + 22, left, right, bottom, dots, ticks, logarithmic, description
    )


def line_chart(
    title: str,
    x_label: str,
    series: Sequence[tuple[str, Sequence[tuple[float, float]], str]],
    *,
    width: float = 560,
    height: float = 260,
) -> LineChart | None:
    """Lines ``(label, points, style)`` on shared axes; None when no line has a finite point."""
    clean = [
        (label, thin([p for p in points if is_number(p[0]) and is_number(p[1])]), style)
        for label, points, style in series
    ]
    every = [point for _, points, _ in clean for point in points]
    if not every:
        return None
    x_low, x_high = span([x for x, _ in every])
    y_low, y_high = padded(*span([y for _, y in every]), logarithmic=False, share=0.04)
    left, right, top, bottom = 52.0, width - 14, 12.0, height - 40

    def x_at(x: float) -> float:
        return round(left + (x - x_low) / (x_high - x_low) * (right - left), 1)

    def y_at(y: float) -> float:
        return round(bottom - (y - y_low) / (y_high - y_low) * (bottom - top), 1)

    lines = []
    for label, points, style in clean:
        placed = [(x_at(x), y_at(y)) for x, y in points]
        path = " ".join(f"{x},{y}" for x, y in placed)
        lines.append(Line(label, path, style, placed if len(placed) <= 20 else []))
    return LineChart(
        title,
        x_label,
        width,
        height,
        left,
        right,
        top,
        bottom,
        lines,
        [Tick(x_at(x), tick_text(x)) for x in nice_ticks(x_low, x_high, 5)],
        [Tick(y_at(y), tick_text(y)) for y in nice_ticks(y_low, y_high, 5)],
        "; ".join(_ends(label, points) for label, points, _ in clean if points),
    )


def thin(
    points: Sequence[tuple[float, float]], limit: int = MAX_POINTS
) -> list[tuple[float, float]]:
    """At most ``limit`` points, evenly chosen, first and last among them."""
    if len(points) <= limit:
        return list(points)
    last = len(points) - 1
    return [points[round(index * last / (limit - 1))] for index in range(limit)]


def _ends(label: str, points: Sequence[tuple[float, float]]) -> str:
    first, last = points[0][1], points[-1][1]
    places = max(decimals(first, None, None), decimals(last, None, None))
    return f"{label} goes from {first:.{places}f} to {last:.{places}f}"


def span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def padded(low: float, high: float, logarithmic: bool, share: float = 0.06) -> tuple[float, float]:
    if logarithmic:
        grow = (high / low) ** share
        return low / grow, high * grow
    low, high = span([low, high]) if high <= low else (low, high)
    pad = (high - low) * share
    return low - pad, high + pad


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [10.0**power for power in powers if low <= 10.0**power <= high]
    every = math.ceil(len(ticks) / 5)
    return ticks[::every]
