"""Which of the report's numbers are drawn, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from synthgen.evaluation.report.charts import DotPlot, LineChart, Mark, dot_plot, line_chart
from synthgen.evaluation.report.tables import MODEL, Result, overall
from synthgen.evaluation.report.wording import (
    ARMS,
    REFERENCES,
    arm_of,
    direction,
    is_number,
    is_share,
    metric_label,
    show,
)

CLOCKS = ("images_seen", "step", "epoch")
NOT_CURVES = {*CLOCKS, "seconds", "time", "elapsed"}
MAX_TRAINING_CHARTS = 9


def transfer_plots(results: Sequence[Result]) -> list[DotPlot]:
    """One dot plot per metric: the arms below each other on a shared axis, in per cent."""
    found = [r for r in overall(results, "transfer/") if arm_of(str(r["name"]))]
    metrics = list(dict.fromkeys(str(r["name"]).rsplit("/", 1)[-1] for r in found))
    plots = []
    for metric in metrics:
        own = {
            arm: r
            for r in found
            if str(r["name"]).endswith(f"/{metric}") and (arm := arm_of(str(r["name"])))
        }
        arms = [arm for arm in [*ARMS, *(a for a in own if a not in ARMS)] if arm in own]
        marks = [_mark(ARMS.get(arm, arm), own[arm], f"arm-{arm}") for arm in arms]
        note = "per cent of the real images tested, " + direction(
            own[arms[0]].get("higher_is_better")
        )
        plots.append(dot_plot(metric_label(metric), note, marks))
    return [plot for plot in plots if plot is not None]


def reference_plots(results: Sequence[Result], references: Sequence[Result]) -> list[DotPlot]:
    """One dot plot per fidelity metric and extractor: the model among its references."""
    model = [{**r, "reference": MODEL} for r in overall(results, "fidelity/")]
    every = [*model, *overall(references, "fidelity/")]
    keys = list(dict.fromkeys((str(r["name"]), str(r.get("extractor"))) for r in every))
    plots = []
    for name, extractor in keys:
        own = {
            r["reference"]: r
            for r in every
            if r["name"] == name and str(r.get("extractor")) == extractor
        }
        order = [*(k for k in REFERENCES if k in own), *(k for k in own if k not in REFERENCES)]
        marks = [
            _mark(_short(kind), own[kind], "model" if kind == MODEL else "other") for kind in order
        ]
        higher = next(iter(own.values())).get("higher_is_better")
        axis: Literal["linear", "by_span"] = "by_span" if higher is False else "linear"
        note = f"{extractor} · {direction(higher)}"
        plots.append(dot_plot(metric_label(name), note, marks, axis=axis))
    return [plot for plot in plots if plot is not None]


def judge_chart(curves: dict[str, Any], held_back: str) -> LineChart | None:
    """Accuracy of the judges on ``held_back`` images while they train, one line per arm, in per
    cent."""
    transfer = curves.get("transfer") or {}
    series = []
    for arm in sorted(
        transfer, key=lambda a: (a not in ARMS, list(ARMS).index(a) if a in ARMS else 0)
    ):
        points = [
            (p.get("step"), 100 * p["accuracy_holdout"])
            for p in transfer[arm]
            if is_number(p.get("accuracy_holdout"))
        ]
        series.append((ARMS.get(arm, arm), points, f"arm-{arm}"))
    title = f"Accuracy on {held_back} images while the judges train, %"
    return line_chart(title, "optimizer step", series)


def training_charts(curves: dict[str, Any]) -> list[LineChart]:
    """Small multiples: every logged quantity against the run's clock (images seen)."""
    training = curves.get("training")
    if not training or not training.get("rows"):
        return []
    columns = [str(name) for name in training["columns"]]
    clock = next((name for name in CLOCKS if name in columns), columns[0])
    at = columns.index(clock)
    charts = []
    for index, name in enumerate(columns):
        if name == clock or name in NOT_CURVES:
            continue
        points = [(row[at], row[index]) for row in training["rows"] if len(row) > index]
        chart = line_chart(
            name, clock.replace("_", " "), [(name, points, "model")], width=360, height=200
        )
        if chart is not None:
            charts.append(chart)
    return charts[:MAX_TRAINING_CHARTS]


def _short(kind: str) -> str:
    """A label that fits beside a small plot; the table below has the full one."""
    short = {
        "model_at_floor_n": "… at floor's size",
        "train": "… against train",
        "real_at_same_n": "Real, same size",
    }
    full = REFERENCES.get(kind, str(kind).replace("_", " "))
    return short.get(kind) or full.split(":")[0].split(",")[0]


def _mark(label: str, result: Result, style: str) -> Mark:
    scale = 100 if is_share(str(result["name"])) else 1

    def scaled(key: str) -> float | None:
        value = result.get(key)
        return value * scale if is_number(value) else None

    return Mark(label, scaled("value"), scaled("ci_low"), scaled("ci_high"), show(result)[0], style)
