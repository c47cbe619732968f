"""The page of a comparison: answers, tables, images side by side, and curves over each other."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from synthgen.evaluation.experiments import Experiment
from synthgen.evaluation.figures import synthetic_half
from synthgen.evaluation.report.blocks import Figure, embed
from synthgen.evaluation.report.canvas import STYLES
from synthgen.evaluation.report.charts import (
    Curve,
    DotPlot,
    LineChart,
    Mark,
    Point,
    dot_plot,
    drawn,
    line_chart,
)
from synthgen.evaluation.report.comparison import (
    DIFFERENCE,
    LONGEST_NAME,
    RATIO,
    SECONDS,
    answers,
    main_table,
    note,
    ranking,
    results_table,
    settings_tables,
    show_value,
)
from synthgen.evaluation.report.formatting import (
    direction,
    full_label,
    is_share,
    reference_split,
    share_label,
)
from synthgen.evaluation.report.page import template
from synthgen.evaluation.report.plots import REAL, SMALL, missing_as_nan
from synthgen.evaluation.report.schema import ComparedLine, Comparison, Report
from synthgen.io import write_text

STAGES = 4  # moments at which previews are shown beside each other
WIDE_SPAN = 20  # ratio of times from which their axis is logarithmic


def write_comparison_page(
    comparison: Comparison, experiments: Sequence[Experiment], folder: Path
) -> None:
    """``folder/comparison.html`` from the comparison, and the experiments in the order of its
    runs."""
    page = template("comparison.html.j2").render(context(comparison, experiments))
    write_text(folder / "comparison.html", page)


def context(comparison: Comparison, experiments: Sequence[Experiment]) -> dict[str, object]:
    """Everything that comparison.html.j2 shows."""
    first = experiments[0].report
    metrics = [one for one in comparison.results if one.name.startswith(("transfer/", "fidelity/"))]
    overall = [one for one in metrics if one.scope is None]
    split = reference_split(first)
    tested = sum(first.provenance.data.counts.get(split, {}).values())
    return {
        "title": f"{len(comparison.runs)} experiments side by side",
        "names": comparison.names,
        "tested": f"{f'{tested:,} ' if tested else ''}real {split} images",
        "data": first.provenance.data.name,
        "answers": answers(comparison),
        "main": main_table(comparison),
        "sentences": comparison.sentences,
        "overall": results_table(comparison, overall),
        "scoped": results_table(comparison, [one for one in metrics if one.scope is not None]),
        "plots": [plot for one in overall if (plot := result_plot(comparison, one)) is not None],
        "differences": settings_tables(comparison),
        "grids": grids(experiments),
        "stages": stages(experiments),
        "worth": quality_against_time(comparison),
        "curves": overlaid_curves([one.report for one in experiments], comparison.names),
    }


def result_plot(comparison: Comparison, one: ComparedLine) -> DotPlot | None:
    scale = 100 if is_share(one.name) else 1
    marks = []
    for name, found in one.values.items():
        ends = (found.value, found.ci_low, found.ci_high)
        value, low, high = (None if end is None else end * scale for end in ends)
        style = "model" if name == one.best else "other"
        label = name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"
        marks.append(Mark(label, value, low, high, show_value(one, found)[0], style))
    axis: Literal["linear", "by_span"] = "linear" if one.higher_is_better else "by_span"
    plot = dot_plot(full_label(one), note(one), marks, axis=axis)
    return plot and drawn(plot)[0]


# Grids side by side.


@dataclass(frozen=True)
class Half:
    """A part of a class grid; ``width`` in the grid's own pixels, in which all rows are alike."""

    title: str
    figure: Figure
    width: int


def grids(experiments: Sequence[Experiment]) -> tuple[list[Half], list[tuple[str, Figure]]]:
    """The real images once, and each run's synthetic ones beside them, classes in common rows; and
    the grids, whole, that can't be cut so."""
    halves: list[Half] = []
    whole: list[tuple[str, Figure]] = []
    for one in experiments:
        for drawn_figure in one.report.figures:
            if drawn_figure.kind != "class_grid" or one.folder is None:
                continue
            figure = embed(drawn_figure, one.folder)
            parts = cut_grid(figure, one.report)
            if parts is None:
                whole.append((one.name, figure))
                continue
            real, synthetic = parts
            halves += (
                [] if halves else [Half(f"real {reference_split(one.report)}", real, real.width)]
            )
            halves.append(Half(one.name, synthetic, synthetic.width))
    return halves, whole


def cut_grid(figure: Figure, report: Report) -> tuple[Figure, Figure] | None:
    """The real half with the classes' names, and the synthetic one; None for another picture."""
    from PIL import Image

    size = report.provenance.data.recipe.size
    if figure.uri is None:
        return None
    with Image.open(io.BytesIO(base64.b64decode(figure.uri.partition(",")[2]))) as picture:
        start = synthetic_half(picture.width, picture.height, size)
        if start is None:
            return None
        left, top = start
        return part(picture, 0, top, left), part(picture, left, top, picture.width)


def part(picture: Any, left: int, top: int, right: int) -> Figure:
    buffer = io.BytesIO()
    cropped = picture.crop((left, top, right, picture.height))
    cropped.save(buffer, format="PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Figure(uri, cropped.width, cropped.height, "class_grid", None, "")


# The same latents at equal images seen.


@dataclass(frozen=True)
class Stage:
    """Every run's preview near one moment; None where a run has none."""

    images_seen: int
    shown: list[Figure | None]
    captions: list[str]


def stages(experiments: Sequence[Experiment]) -> list[Stage]:
    """Previews at moments that all runs which have some have reached, latest last; empty where
    fewer than two runs have previews."""
    having = [one.previews for one in experiments if one.previews]
    if len(having) < 2:
        return []
    end = min(previews[-1].images_seen for previews in having)
    begin = max(previews[0].images_seen for previews in having)
    moments = [begin + (end - begin) * step // (STAGES - 1) for step in range(STAGES)]
    return [stage(moment, experiments) for moment in dict.fromkeys(moments)]


def stage(moment: int, experiments: Sequence[Experiment]) -> Stage:
    shown: list[Figure | None] = []
    captions = []
    for one in experiments:
        near = min(
            one.previews, key=lambda preview: abs(preview.images_seen - moment), default=None
        )
        shown.append(None if near is None else picture(near.path))
        captions.append(one.name if near is None else f"{one.name}: {near.images_seen:,}")
    return Stage(moment, shown, captions)


def picture(path: Path) -> Figure | None:
    """A PNG for the page; None for one that can't be read."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as opened:
            return part(opened, 0, 0, opened.width)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


# Quality against time.


def quality_against_time(comparison: Comparison) -> LineChart | None:
    """The primary result over the time of training; ringed and joined are the runs that no other
    one beats in both (the Pareto front). None where fewer than two runs name their time."""
    found = ranking(comparison)
    times = next((one for one in comparison.results if one.name == SECONDS), None)
    if found is None or times is None:
        return None
    scale = 100 if is_share(found.line.name) or found.line.name == DIFFERENCE else 1
    placed = [
        (name, seconds, scale * value)
        for name in comparison.names
        if (seconds := times.value(name)) is not None
        and (value := found.line.value(name)) is not None
    ]
    if len(placed) < 2:
        return None
    front = pareto_front([(x, y) for _, x, y in placed], found.line.higher_is_better is not False)
    curves = [Curve("not beaten in both", "arm-quiet", [Point(*placed[i][1:]) for i in front])]
    for index, (name, seconds, value) in enumerate(placed):
        curves.append(Curve(name, run_style(index), [Point(seconds, value, chosen=index in front)]))
    least, most = min(x for _, x, _ in placed), max(x for _, x, _ in placed)
    chart = line_chart(
        full_label(found.line) if found.line.name != DIFFERENCE else "Gain, points",
        "seconds of training",
        curves if len(front) > 1 else curves[1:],
        note=direction(found.line.higher_is_better),
        x_axis="logarithmic" if least > 0 and most > WIDE_SPAN * least else "linear",
    )
    return chart and drawn(chart)[0]


def pareto_front(points: Sequence[tuple[float, float]], higher_is_better: bool) -> list[int]:
    """Positions of the (cost, quality) points that no other equals or beats in both and beats in
    one, the cheapest first."""
    sign = 1 if higher_is_better else -1
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -sign * points[i][1]))
    front: list[int] = []
    for index in order:
        best = max((sign * points[i][1] for i in front), default=None)
        level = bool(front) and points[index] == points[front[-1]]
        if best is None or sign * points[index][1] > best or level:
            front.append(index)
    return front


# Curves over each other.


def run_style(index: int) -> str:
    """The style of a run's curves in all charts; they repeat."""
    return f"run-{index % sum(one.startswith('run-') for one in STYLES)}"


def overlaid_curves(reports: Sequence[Report], names: Sequence[str]) -> list[LineChart]:
    """Of the trials' amounts, of the judges and of the trainings: what at least two runs have."""
    found: dict[tuple[str, str], list[Curve]] = {}
    for index, (name, report) in enumerate(zip(names, reports, strict=True)):
        style = run_style(index)
        for key, points in curves_of(report).items():
            found.setdefault(key, []).append(Curve(name, style, points))
    charts = [
        line_chart(title, clock, curves, size=SMALL, x_axis="even" if clock == RATIO else "linear")
        for (title, clock), curves in found.items()
        if len(curves) > 1
    ]
    return [drawn(chart)[0] for chart in charts if chart is not None]


def curves_of(report: Report) -> dict[tuple[str, str], list[Point]]:
    """By title and clock."""
    found: dict[tuple[str, str], list[Point]] = {}
    if report.trial and report.verdict:
        title = f"Trial: {share_label(report.verdict.endpoint)} by amount, %"
        found[title, RATIO] = [
            Point(one.ratio, 100 * one.test) for one in report.trial.ratio_curve if one.test
        ]
    for arm, steps in report.curves.transfer.items():
        if arm == REAL:  # the same in all
            continue
        title = f"Held-back accuracy while a judge learns, {arm.replace('_', ' ')}, %"
        found[title, "optimizer step"] = [
            Point(one.step, 100 * one.accuracy_holdout) for one in steps
        ]
    training = report.curves.training
    if training and "images_seen" in training.columns:
        clock = training.columns.index("images_seen")
        for index, name in enumerate(training.columns):
            if name in ("images_seen", "seconds", "images_per_second", "epoch", "step"):
                continue
            points = [(row[clock], row[index]) for row in training.rows]
            found[f"Training: {name}", "images seen"] = [
                Point(x, missing_as_nan(y)) for x, y in points if x is not None
            ]
    return {key: points for key, points in found.items() if points}
