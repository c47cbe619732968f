"""Geometry of the page's charts; the templates turn it into SVG."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from synthgen.evaluation.report.blocks import CHARTS
from synthgen.evaluation.report.canvas import (
    HALO,
    STYLES,
    TONES,
    Look,
    Sheet,
    fitted,
    inline_svg,
    padded,
    powers,
    round_numbers,
    settings,
    span,
    stroke,
    svg_file,
    thinned,
    tick_text,
    write_pdfs,
)
from synthgen.evaluation.report.formatting import decimals, is_number
from synthgen.io import write_text
from synthgen.pages import SHARED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Numbers = NDArray[Any]

TEMPLATES = Path(__file__).resolve().parent / "templates"
Axis = Literal["linear", "logarithmic", "even"]
Value = TypeVar("Value")
MAX_POINTS = 300  # per line: more can't be told apart on a page and would only make it heavy
MARKED = 20  # a line of more points shows no dots
COLOURS = 10  # then they repeat; names stand on the clouds, so colour never has to tell alone
MOST_NAMES = 20
RIM = (0.002, 0.998)  # quantiles of all points, at which a map ends


@dataclass(frozen=True, kw_only=True)
class Chart(ABC):
    """What all kinds have. ``svg`` is the chart as an element of the page, once it is drawn, and
    ``file`` its PDF, relative to the report's folder."""

    title: str
    note: str = ""
    svg: str = ""
    file: str = ""

    @property
    @abstractmethod
    def description(self) -> str:
        """What the chart shows, for those who can't see it."""


@dataclass(frozen=True)
class Mark:
    """One row of a dot plot: a value with its interval, in the data's unit."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    text: str
    style: str = "other"


@dataclass(frozen=True, kw_only=True)
class DotPlot(Chart):
    """Rows of dots with their intervals on one axis."""

    marks: tuple[Mark, ...]
    logarithmic: bool = False

    @property
    def description(self) -> str:
        return "; ".join(f"{mark.label}: {mark.text}" for mark in self.marks)


@dataclass(frozen=True)
class Difference:
    """One row of a forest: a difference in percentage points, in words and as numbers."""

    label: str
    value: float
    low: float
    high: float
    text: str
    verdict: str  # with its sign
    style: str
    primary: bool = False


@dataclass(frozen=True, kw_only=True)
class Forest(Chart):
    """Every arm's difference with its interval on one axis. ``minimum`` is the smallest difference
    that matters, in percentage points; ``stacked`` puts the words above the intervals, for narrow
    screens."""

    rows: tuple[Difference, ...]
    minimum: float | None
    layout: Literal["wide", "stacked"]

    @property
    def description(self) -> str:
        return "; ".join(f"{r.label}: {r.text} points, {r.verdict}" for r in self.rows)


@dataclass(frozen=True)
class Point:
    x: float
    value: float
    low: float | None = None
    high: float | None = None
    chosen: bool = False  # ringed


@dataclass(frozen=True)
class Curve:
    label: str
    style: str
    points: Sequence[Point] = ()


@dataclass(frozen=True)
class Reference:
    """A value to hold curves against: a horizontal line with its interval."""

    label: str
    style: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class LineChart(Chart):
    """Curves with shaded intervals, and levels to hold them against."""

    x_label: str
    curves: tuple[Curve, ...]
    references: tuple[Reference, ...] = ()
    x_axis: Axis = "linear"
    y_axis: Literal["linear", "logarithmic"] = "linear"
    ticks_at_points: bool = False
    size: tuple[float, float] = (420, 250)

    @property
    def description(self) -> str:
        levels = (f"{r.label} {r.value:.4g}" for r in self.references)
        return "; ".join([*map(ends, self.curves), *levels])

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Labels and styles; a curve that is alone is named by the title."""
        return [(c.label, c.style) for c in self.curves] if len(self.curves) > 1 else []


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points float64 ``(N, 2)`` of several classes, with their labels int64 ``(N,)``."""

    name: str
    points: Numbers
    labels: Numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class Scatter(Chart):
    """Clouds on common axes, side by side; each shows the others' points behind its own."""

    clouds: tuple[Cloud, ...]
    classes: tuple[str, ...]

    @property
    def description(self) -> str:
        counts = ", ".join(f"{len(c.points):,} {c.name}" for c in self.clouds)
        return f"{counts} images by class"


AnyChart = TypeVar("AnyChart", DotPlot, Forest, LineChart, Scatter)


def dot_plot(
    title: str, note: str, marks: Sequence[Mark], *, axis: Literal["linear", "by_span"] = "linear"
) -> DotPlot | None:
    """None when there is no value at all. ``by_span`` makes the axis logarithmic when positive
    values span more than two powers of ten: a distance of noise beside that of a good model."""
    values = [m.value for m in marks if is_number(m.value)]
    if not values:
        return None
    logarithmic = axis == "by_span" and min(values) > 0 and max(values) / min(values) > 100
    return DotPlot(title=title, note=note, marks=tuple(marks), logarithmic=logarithmic)


def line_chart(
    title: str, x_label: str, curves: Sequence[Curve], *,
    references: Sequence[Reference] = (), y_axis: Literal["linear", "logarithmic"] = "linear",
    **more: Any,
) -> LineChart | None:  # fmt: skip
    """Curves without the points that have no place on the axes; None when none is left."""
    kept = [Curve(c.label, c.style, thin(sound(c.points, y_axis))) for c in curves]
    kept = [c for c in kept if c.points]
    if not kept:
        return None
    return LineChart(title=title, x_label=x_label, curves=tuple(kept), y_axis=y_axis,
                     references=tuple(references), **more)  # fmt: skip


def sound(points: Sequence[Point], y_axis: str) -> list[Point]:
    """Points that have a place on the axes, in order of x."""
    kept = [p for p in points if is_number(p.x) and is_number(p.value)]
    return sorted((p for p in kept if p.value > 0 or y_axis == "linear"), key=lambda p: p.x)


def thin(points: Sequence[Value], limit: int = MAX_POINTS) -> tuple[Value, ...]:
    """At most ``limit`` of them, evenly chosen, first and last among them."""
    if len(points) <= limit:
        return tuple(points)
    last = len(points) - 1
    return tuple(points[round(index * last / (limit - 1))] for index in range(limit))


def ends(curve: Curve) -> str:
    first, last = curve.points[0], curve.points[-1]
    places = max(decimals(first.value, None, None), decimals(last.value, None, None))
    return (
        f"{curve.label} goes from {first.value:.{places}f} at {first.x:g} "
        f"to {last.value:.{places}f} at {last.x:g}"
    )


def drawn(chart: AnyChart, file: str = "") -> tuple[AnyChart, Sheet]:
    """The chart with its SVG for the page, and the sheet that its PDF can be made of."""
    with settings():
        sheet = DRAWERS[type(chart)](chart)
        svg = inline_svg(sheet, f"{chart.title}. {chart.description}")
    return replace(chart, svg=svg, file=file), sheet


def write_figure(chart: Chart, folder: Path, file: str) -> None:
    """The chart as an SVG of its own in ``folder/file``, and as a PDF beside the page's others."""
    css = "".join((SHARED / name).read_text("utf-8") for name in ("colours.css", "charts.css"))
    with settings():
        sheet = DRAWERS[type(chart)](chart)
        write_text(folder / file, svg_file(sheet, chart.title, chart.description, css))
    write_pdfs({folder / CHARTS / f"{Path(file).stem}.pdf": sheet})


def draw_dots(chart: DotPlot) -> Sheet:
    width, left, right, row = 360, 124, 294, 22
    bottom = 8 + row * len(chart.marks)
    sheet = Sheet(width, bottom + 22, chart.title, chart.note)
    values = [m.value for m in chart.marks if is_number(m.value)]
    numbers = values + [x for m in chart.marks for x in (m.low, m.high) if is_number(x)]
    # An interval that reaches zero ends at a logarithmic axis' edge.
    smallest = max(min(numbers), min(values) / 3) if chart.logarithmic else min(numbers)
    low, high = padded(smallest, max(numbers), chart.logarithmic)
    scale = "log" if chart.logarithmic else "linear"
    axes = sheet.axes(left, 4, right, bottom, (low, high), (bottom, 4), xscale=scale)
    ticks = powers(low, high, 4) if chart.logarithmic else round_numbers(low, high, 4, right - left)
    axes.set_xticks(ticks, [tick_text(x) for x in ticks])
    axes.grid(axis="x", color=TONES["rule"], linewidth=1)
    for index, mark in enumerate(chart.marks):
        y, tone = 8 + row * (index + 0.5), STYLES[mark.style][0]
        weight = "bold" if mark.style == "model" else "normal"
        sheet.text(0, y + 4, fitted(mark.label, left - 4), weight=weight)
        if is_number(mark.low) and is_number(mark.high):
            interval(axes, max(mark.low, low), mark.high, y, tone)
        if is_number(mark.value):
            dots(axes, [(mark.value, y)], tone, 10.4 if mark.style == "other" else 8.4)
            if mark.style == "other":
                dots(axes, [(mark.value, y)], "paper", 6.4)
            sheet.text(width, y + 4, mark.text, anchor="end", weight=weight)
        else:
            sheet.text(width, y + 4, mark.text, 11, "soft", anchor="end")
    return sheet


def draw_forest(chart: Forest) -> Sheet:
    stacked = chart.layout == "stacked"
    width, row = (350, 50) if stacked else (880, 27)
    left, right = (6, 344) if stacked else (304, 596)
    top, bottom = 16, 24 + row * len(chart.rows)
    sheet = Sheet(width, bottom + 40, chart.title, chart.note)
    low, high = forest_limits(chart.rows, chart.minimum)
    axes = sheet.axes(left, top, right, bottom, (low, high), (bottom, top))
    ticks = round_numbers(low, high, 5)
    axes.set_xticks(ticks, [f"+{tick_text(x)}" if x > 0 else tick_text(x) for x in ticks])
    axes.grid(axis="x", color=TONES["rule"], linewidth=1)
    zero, _ = sheet.at(axes, 0, 0)
    if chart.minimum:
        axes.axvspan(-chart.minimum, chart.minimum, color=TONES["band"], linewidth=0, zorder=0)
        sheet.text(zero, top - 5, "too small to matter", 11, "soft", anchor="middle")
    axes.axvline(0, color=TONES["ink"], linewidth=1.2)
    than = "" if stacked else " than real only"
    sheet.text(zero - 12, bottom + 34, f"← worse{than}", 11, "soft", anchor="end")
    sheet.text(zero + 12, bottom + 34, f"better{than} →", 11, "soft")
    for index, found in enumerate(chart.rows):
        y = top + 4 + row * (index + (0.8 if stacked else 0.5))
        tone, weight = STYLES[found.style][0], "bold" if found.primary else "normal"
        if stacked:
            words = fitted(found.label, right - left)
            sheet.text(left, y - 26, words, weight=weight, gid=HALO)
            sheet.text(left, y - 12, found.text, 11, "soft", weight=weight, gid=HALO)
            sheet.text(
                right, y - 12, found.verdict, 12, tone, anchor="end", weight="bold", gid=HALO
            )
        else:
            sheet.text(0, y + 4, fitted(found.label, left - 4), weight=weight)
            sheet.text(right + 16, y + 4, found.text, weight=weight)
            sheet.text(width - 92, y + 4, found.verdict, 12, tone, weight="bold")
        draw_difference(sheet, axes, found, y)
    return sheet


def draw_difference(sheet: Sheet, axes: Axes, row: Difference, y: float) -> None:
    """The interval and the estimate. What lies beyond the axis is an arrow and has no dot."""
    (low, high), tone = axes.get_xlim(), STYLES[row.style][0]
    left, right = (min(max(end, low), high) for end in (row.low, row.high))
    if left < right:
        interval(axes, left, right, y, tone, thick=row.primary)
    for beyond, edge, inwards in ((row.low < low, low, 1), (row.high > high, high, -1)):
        x, _ = sheet.at(axes, edge, y)
        for start in (1, 8) if beyond else ():
            xs = [x + inwards * (start + step) for step in (6, 0, 6)]
            sheet.line(xs, [y - 4.5, y, y + 4.5], **stroke(row.style, 2))
    if not low <= row.value <= high:
        return
    x, _ = sheet.at(axes, row.value, y)
    if row.primary:
        sheet.shape([(x, y - 7), (x + 7, y), (x, y + 7), (x - 7, y)], tone)
    else:
        dots(axes, [(row.value, y)], tone, 8.8)


def forest_limits(rows: Sequence[Difference], minimum: float | None) -> tuple[float, float]:
    """The axis holds zero, the band and every interval, unless one arm is so far off that all
    others would shrink to dots: then it is cut to four times the reach of the typical arm."""
    reach = sorted(max(abs(r.low), abs(r.high)) for r in rows)
    primary = [max(abs(r.low), abs(r.high)) for r in rows if r.primary]
    most = max([4 * reach[(len(reach) - 1) // 2], *(1.2 * x for x in primary)])
    found = [0.0, *(x for r in rows for x in (r.low, r.high))]
    if is_number(minimum):
        found += [-minimum, minimum]
    return padded(max(min(found), -most), min(max(found), most), logarithmic=False, share=0.04)


def draw_lines(chart: LineChart) -> Sheet:
    width, height = chart.size
    left, right, top, bottom = 50, width - 14, 12, height - 40
    sheet = Sheet(width, height, chart.title, chart.note, chart.legend)
    xs = sorted({p.x for c in chart.curves for p in c.points})
    place, x_limits, x_scale = horizontal(chart.x_axis, xs, right - left)
    y_scale = "log" if chart.y_axis == "logarithmic" else "linear"
    low, high = heights(chart)
    axes = sheet.axes(left, top, right, bottom, x_limits, (low, high), xscale=x_scale,
                      yscale=y_scale)  # fmt: skip
    at_points = chart.ticks_at_points or chart.x_axis != "linear"
    shown = thinned(xs, 7) if at_points else round_numbers(xs[0], xs[-1], 5)
    axes.set_xticks([place(x) for x in shown], [tick_text(x) for x in shown])
    ticks = powers(low, high, 5) if y_scale == "log" else round_numbers(low, high, 5)
    axes.set_yticks(ticks, [tick_text(y) for y in ticks])
    axes.grid(axis="y", color=TONES["rule"], linewidth=1)
    sheet.text(right, bottom + 34, chart.x_label, 11, "soft", anchor="end")
    for level in chart.references:
        draw_level(sheet, axes, level)
    for curve in chart.curves:
        draw_curve(sheet, axes, curve, place)
    return sheet


def draw_level(sheet: Sheet, axes: Axes, level: Reference) -> None:
    tone, (least, most) = STYLES[level.style][0], axes.get_ylim()
    if is_number(level.low) and is_number(level.high):
        ends = max(level.low, least), min(level.high, most)
        axes.axhspan(*ends, color=TONES[tone], alpha=0.16, linewidth=0)
    axes.axhline(level.value, **stroke(level.style, 1.6))
    x, y = sheet.at(axes, axes.get_xlim()[0], level.value)
    sheet.text(x + 5, y - 5, level.label, 11.5, tone, gid=HALO)


def draw_curve(sheet: Sheet, axes: Axes, curve: Curve, place: Callable[[float], float]) -> None:
    tone, (least, most) = STYLES[curve.style][0], axes.get_ylim()
    band = [
        (place(p.x), max(p.low, least), min(p.high, most))
        for p in curve.points
        if is_number(p.low) and is_number(p.high)
    ]
    if band:
        look: Look = {"facecolor": TONES[tone], "alpha": 0.16, "linewidth": 0, "clip_on": False}
        xs, low, high = zip(*band, strict=True)
        axes.fill_between(xs, low, high, **look)
    found = [(place(p.x), p.value) for p in curve.points]
    axes.plot(*zip(*found, strict=True), **stroke(curve.style))
    if len(found) <= MARKED:
        dots(axes, found, tone, 5.2)
    for point in (p for p in curve.points if p.chosen):
        sheet.ring(*sheet.at(axes, place(point.x), point.value), 6.5)


def horizontal(
    axis: Axis, xs: Sequence[float], width: float
) -> tuple[Callable[[float], float], tuple[float, float], str]:
    """Where x values lie, the axis' limits, and its scale. ``even`` spaces them evenly, in order:
    ratios 0.25 to 4."""
    if axis == "even":
        last = max(len(xs) - 1, 1)
        rim = 20 * last / (width - 40)
        return {x: float(i) for i, x in enumerate(xs)}.__getitem__, (-rim, last + rim), "linear"
    low, high = span(xs)
    logarithmic = axis == "logarithmic" and low > 0
    limits = padded(low, high, logarithmic, share=8 / (width - 16))
    return lambda x: x, limits, "log" if logarithmic else "linear"


def heights(chart: LineChart) -> tuple[float, float]:
    """The limits of the upright axis."""
    found = [y for c in chart.curves for p in c.points for y in (p.value, p.low, p.high)]
    found += [y for r in chart.references for y in (r.value, r.low, r.high)]
    logarithmic = chart.y_axis == "logarithmic"
    return padded(*span([y for y in found if is_number(y) and (y > 0 or not logarithmic)]),
                  logarithmic=logarithmic)  # fmt: skip


def draw_scatter(chart: Scatter) -> Sheet:
    import numpy as np

    side, gap, count = 380, 28, len(chart.clouds)
    sheet = Sheet(count * side + (count - 1) * gap, side + 26, chart.title, chart.note)
    low, high = np.quantile(np.concatenate([c.points for c in chart.clouds]), RIM, axis=0)
    rim = np.maximum(high - low, 1e-12) * 12 / (side - 24)
    (left, under), (right, over) = low - rim, high + rim
    for index, cloud in enumerate(chart.clouds):
        x = index * (side + gap)
        axes = sheet.axes(x, 24, x + side, 24 + side, (left, right), (under, over))
        axes.set_frame_on(True)
        axes.set_facecolor("none")
        axes.spines[:].set_color(TONES["rule"])
        sheet.text(x, 14, cloud.name, weight="bold")
        words = f"{len(cloud.points):,} images"
        sheet.text(x + side, 14, words, 11, "soft", anchor="end")
        for other in chart.clouds:
            if other is not cloud:
                dots(axes, other.points.clip(low, high), "rule", 4.2)
        draw_cloud(sheet, axes, cloud.points.clip(low, high), cloud.labels, chart.classes)
    return sheet


def draw_cloud(
    sheet: Sheet, axes: Axes, points: Numbers, labels: Numbers, classes: Sequence[str]
) -> None:
    """Each class's points in a colour, and its name at their median."""
    import numpy as np

    found = {int(label): points[labels == label] for label in np.unique(labels)}
    for label, own in found.items():
        dots(axes, own, f"c{label % COLOURS}", 4.2, alpha=0.8)
    for label, own in found.items() if len(classes) <= MOST_NAMES else ():
        x, y = sheet.at(axes, *np.median(own, axis=0))
        sheet.text(x, y + 4, classes[label][:14], 13, anchor="middle", weight="bold", gid=HALO)


DRAWERS: dict[type[Chart], Callable[[Any], Sheet]] = {
    DotPlot: draw_dots,
    Forest: draw_forest,
    LineChart: draw_lines,
    Scatter: draw_scatter,
}


def interval(
    axes: Axes, low: float, high: float, y: float, tone: str, *, thick: bool = False
) -> None:
    look: Look = {"linewidth": 4, "alpha": 0.75} if thick else {"linewidth": 2.5, "alpha": 0.55}
    axes.plot([low, high], [y, y], color=TONES[tone], solid_capstyle="round", clip_on=False, **look)


def dots(axes: Axes, points: Any, tone: str, size: float, alpha: float | None = None) -> None:
    """Round dots as lines of no length with round ends: a tenth of the bytes of as many circles."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Drawn

    path = Drawn([p for p in points for _ in "ab"], [Drawn.MOVETO, Drawn.LINETO] * len(points))
    look = {"edgecolor": TONES[tone], "linewidth": size, "capstyle": "round", "alpha": alpha}
    axes.add_patch(PathPatch(path, fill=False, clip_on=False, zorder=2, **look))
