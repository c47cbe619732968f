"""Geometry of curves with intervals: ratio, learning, scenarios, spectra."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from synthgen.evaluation.report.charts import (
    Level,
    Line,
    LineChart,
    Tick,
    nice_ticks,
    padded,
    span,
    tick_text,
)
from synthgen.evaluation.report.wording import is_number

Axis = Literal["linear", "logarithmic", "even"]
Value = TypeVar("Value")
MARKED = 20  # a line of more points shows no dots


@dataclass(frozen=True)
class Point:
    x: float
    value: float
    low: float | None = None
    high: float | None = None
    chosen: bool = False


@dataclass(frozen=True)
class Curve:
    label: str
    style: str
    points: Sequence[Point] = field(default_factory=list)


@dataclass(frozen=True)
class Reference:
    """A value to hold curves against: a horizontal line with its interval."""

    label: str
    style: str
    value: float
    low: float | None = None
    high: float | None = None


def interval_chart(
    title: str,
    x_label: str,
    curves: Sequence[Curve],
    *,
    note: str = "",
    references: Sequence[Reference] = (),
    x_axis: Axis = "linear",
    y_axis: Literal["linear", "logarithmic"] = "linear",
    ticks_at_points: bool = False,
    width: float = 420,
    height: float = 250,
) -> LineChart | None:
    """Curves with shaded intervals and reference lines; None when no point can be drawn.

    ``even`` spaces the curves' x values evenly, in order: ratios 0.25 to 4 or named steps.
    """
    curves = [Curve(c.label, c.style, sound(c.points, y_axis)) for c in curves]
    curves = [c for c in curves if c.points]
    if not curves:
        return None
    xs = sorted({p.x for c in curves for p in c.points})
    heights = [y for c in curves for p in c.points for y in (p.value, p.low, p.high)]
    heights += [y for r in references for y in (r.value, r.low, r.high)]
    ys = [y for y in heights if is_number(y) and (y_axis == "linear" or y > 0)]
    left, right, top, bottom = 50.0, width - 14, 12.0, height - 40
    x_at = x_scale(xs, x_axis, left, right)
    logarithmic = y_axis == "logarithmic"
    low, high = padded(*span(ys), logarithmic=logarithmic, share=0.06)
    y_at = scale(low, high, bottom, top, logarithmic)
    shown = thinned(xs, 7) if ticks_at_points or x_axis != "linear" else nice_ticks(*span(xs), 5)
    return LineChart(
        title,
        x_label,
        width,
        height,
        left,
        right,
        top,
        bottom,
        [placed(c, x_at, y_at) for c in curves],
        [Tick(x_at(x), tick_text(x)) for x in shown],
        [Tick(y_at(y), tick_text(y)) for y in y_ticks(low, high, logarithmic)],
        "; ".join(
            [*(described(c) for c in curves), *(f"{r.label} {r.value:.4g}" for r in references)]
        ),
        note,
        [level(r, y_at) for r in references],
    )


def sound(points: Sequence[Point], y_axis: str) -> list[Point]:
    """Points that have a place on the axes, in order of x."""
    kept = [
        p
        for p in points
        if is_number(p.x) and is_number(p.value) and (y_axis == "linear" or p.value > 0)
    ]
    return sorted(kept, key=lambda p: p.x)


def scale(
    low: float, high: float, start: float, end: float, logarithmic: bool
) -> Callable[[float], float]:
    """Data -> position; what lies outside is put on the edge."""

    def at(value: float) -> float:
        value = min(max(value, low), high)
        share = (
            math.log(value / low) / math.log(high / low)
            if logarithmic
            else (value - low) / (high - low)
        )
        return round(start + share * (end - start), 1)

    return at


def x_scale(xs: Sequence[float], axis: Axis, left: float, right: float) -> Callable[[float], float]:
    if axis == "even":
        step = (right - left - 40) / max(len(xs) - 1, 1)
        places = {x: round(left + 20 + step * i, 1) for i, x in enumerate(xs)}
        return lambda x: places[x]
    low, high = span(xs)
    logarithmic = axis == "logarithmic" and xs[0] > 0
    return scale(max(low, 1e-12) if logarithmic else low, high, left + 8, right - 8, logarithmic)


def y_ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    if not logarithmic:
        return nice_ticks(low, high, 5)
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return [10.0**power for power in thinned(list(powers), 5)]


def thinned(values: Sequence[Value], most: int) -> list[Value]:
    """At most ``most`` of them, evenly chosen, the last among them."""
    every = -(-len(values) // most)
    return list(values[::-1][::every][::-1])


def placed(curve: Curve, x_at: Callable[[float], float], y_at: Callable[[float], float]) -> Line:
    dots = [(x_at(p.x), y_at(p.value)) for p in curve.points]
    bounded = [p for p in curve.points if is_number(p.low) and is_number(p.high)]
    edge = [(x_at(p.x), y_at(p.high or 0.0)) for p in bounded]
    edge += [(x_at(p.x), y_at(p.low or 0.0)) for p in reversed(bounded)]
    return Line(
        curve.label,
        path(dots),
        curve.style,
        dots if len(dots) <= MARKED else [],
        path(edge),
        [dot for dot, p in zip(dots, curve.points, strict=True) if p.chosen],
    )


def path(dots: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in dots)


def level(reference: Reference, y_at: Callable[[float], float]) -> Level:
    at = y_at(reference.value)
    low, high = reference.low, reference.high
    top = y_at(high) if is_number(high) else at
    return Level(reference.label, reference.style, at, top, y_at(low) if is_number(low) else at)


def described(curve: Curve) -> str:
    first, last = curve.points[0], curve.points[-1]
    return f"{curve.label}: {first.value:.4g} at {first.x:g}, {last.value:.4g} at {last.x:g}"
