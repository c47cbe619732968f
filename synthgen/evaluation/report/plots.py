"""Which of the report's and the trial's numbers are drawn, and how."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from synthgen.evaluation.report.blocks import arms_in_order
from synthgen.evaluation.report.canvas import STYLES
from synthgen.evaluation.report.charts import (
    Curve,
    Difference,
    DotPlot,
    Forest,
    LineChart,
    Mark,
    Point,
    dot_plot,
    line_chart,
)
from synthgen.evaluation.report.charts import Reference as Level
from synthgen.evaluation.report.formatting import (
    ARMS,
    REFERENCES,
    arm_of,
    direction,
    is_share,
    metric_label,
    show,
    show_points,
)
from synthgen.evaluation.report.slices import names_of
from synthgen.evaluation.report.tables import MODEL, overall
from synthgen.evaluation.report.verdict import badge, label_of, style_of
from synthgen.evaluation.schema import Reference, Result, TrainingLog, TransferStep
from synthgen.evaluation.trial.narrative import capital
from synthgen.evaluation.trial.schema import Scenario, Trial, TrialVerdict

CLOCKS = ("images_seen", "step", "epoch")
NOT_CURVES = {*CLOCKS, "seconds", "time", "elapsed"}
MAX_TRAINING_CHARTS = 9
STEEP_PART = 0.2  # of the training, in which every curve rises and hides the end
REAL, SYNTHETIC = "real_only", "synthetic_only"
SMALL = (360, 220)  # of small multiples


def transfer_plots(results: Sequence[Result]) -> list[DotPlot]:
    """One dot plot per metric: the arms below each other on a shared axis, in per cent."""
    by_metric: dict[str, dict[str, Result]] = {}
    for result in overall(results, "transfer/"):
        if arm := arm_of(result.name):
            by_metric.setdefault(result.name.rsplit("/", 1)[-1], {})[arm] = result
    plots = []
    for own in by_metric.values():
        arms = arms_in_order(own)
        marks = [_mark(ARMS.get(arm, arm), own[arm], arm_style(arm)) for arm in arms]
        note = f"per cent of the real images tested, {direction(own[arms[0]].higher_is_better)}"
        plots.append(dot_plot(metric_label(own[arms[0]]), note, marks))
    return [plot for plot in plots if plot is not None]


def reference_plots(results: Sequence[Result], references: Sequence[Reference]) -> list[DotPlot]:
    """One dot plot per fidelity metric and extractor: the model among its references."""
    by_key: dict[tuple[str, str | None], dict[str, Result]] = {}
    for result in overall(results, "fidelity/"):
        by_key.setdefault((result.name, result.extractor), {})[MODEL] = result
    for beside in overall(references, "fidelity/"):
        by_key.setdefault((beside.name, beside.extractor), {})[beside.reference] = beside
    plots = []
    for (_, extractor), own in by_key.items():
        order = [*(k for k in REFERENCES if k in own), *(k for k in own if k not in REFERENCES)]
        marks = [
            _mark(_short(kind), own[kind], "model" if kind == MODEL else "other") for kind in order
        ]
        higher = own[order[0]].higher_is_better
        axis: Literal["linear", "by_span"] = "linear" if higher else "by_span"
        note = f"{extractor} · {direction(higher)}"
        plots.append(dot_plot(metric_label(own[order[0]]), note, marks, axis=axis))
    return [plot for plot in plots if plot is not None]


def classifier_chart(transfer: dict[str, list[TransferStep]], held_back: str) -> LineChart | None:
    """Accuracy of the judges on ``held_back`` images while they train, one line per arm, in per
    cent."""
    found = [
        Curve(
            ARMS.get(arm, arm),
            arm_style(arm),
            [Point(one.step, 100 * one.accuracy_holdout) for one in transfer[arm]],
        )
        for arm in arms_in_order(transfer)
    ]
    title = f"Accuracy on {held_back} images while the judges train, %"
    return line_chart(title, "optimizer step", found)


def training_charts(training: TrainingLog | None) -> list[LineChart]:
    """Small multiples: every logged quantity against the run's clock (images seen)."""
    if training is None or not training.rows:
        return []
    columns = training.columns
    clock = next((name for name in CLOCKS if name in columns), columns[0])
    charts = []
    for index, name in enumerate(columns):
        if name == clock or name in NOT_CURVES:
            continue
        pairs = [(row[columns.index(clock)], row[index]) for row in training.rows]
        points = [Point(x, missing_as_nan(y)) for x, y in pairs if x is not None]
        chart = line_chart(
            name, clock.replace("_", " "), [Curve(name, "model", points)], size=SMALL
        )
        if chart is not None:
            charts.append(chart)
    return charts[:MAX_TRAINING_CHARTS]


def arm_style(arm: str) -> str:
    style = f"arm-{arm}"
    return style if style in STYLES else "arm-quiet"


def _short(kind: str) -> str:
    """A label that fits beside a small plot; the table below has the full one."""
    short = {
        "model_at_floor_n": "… at floor's size",
        "train": "… against train",
        "real_at_same_n": "Real, same size",
    }
    full = REFERENCES.get(kind, kind.replace("_", " "))
    return short.get(kind) or full.split(":")[0].split(",")[0]


def _mark(label: str, result: Result, style: str) -> Mark:
    scale = 100 if is_share(result.name) else 1
    ends = (result.value, result.ci_low, result.ci_high)
    value, low, high = (None if end is None else end * scale for end in ends)
    return Mark(label, value, low, high, show(result, result.name)[0], style)


def forests(verdict: TrialVerdict, labels: dict[str, str], endpoint: str) -> list[Forest]:
    """Differences to real only on the endpoint; the primary arm first, then as in the trial."""
    rows = [
        Difference(
            capital(label_of(arm.name, labels)),
            100 * arm.difference,
            100 * arm.ci_low,
            100 * arm.ci_high,
            "{} ({})".format(*show_points(arm.difference, arm.ci_low, arm.ci_high)),
            badge(arm.verdict),
            style_of(arm.verdict),
            arm.primary,
        )
        for arm in verdict.arms
        if arm.against == REAL and arm.endpoint in (None, verdict.endpoint)
    ]
    rows.sort(key=lambda row: not row.primary)
    minimum = 100 * verdict.minimum_difference
    title = f"Difference to real only in {endpoint}, points"
    note = (
        "dot and line: estimate and 95 % interval; diamond: the primary contrast; words follow the "
        "adjusted p"
    )
    layouts: tuple[Literal["wide", "stacked"], ...] = ("wide", "stacked") if rows else ()
    return [
        Forest(title=title, note=note, rows=tuple(rows), minimum=minimum, layout=layout)
        for layout in layouts
    ]


def ratio_chart(
    trial: Trial, endpoint: str, split: str = "test", chosen_on: str = "holdout"
) -> LineChart | None:
    """The endpoint against the amount of synthetic images; real only is the level to beat."""
    tested = [
        Point(
            one.ratio,
            missing_as_nan(percent(one.test)),
            percent(one.ci_low),
            percent(one.ci_high),
            one.chosen,
        )
        for one in trial.ratio_curve
    ]
    chose = [Point(one.ratio, 100 * one.holdout) for one in trial.ratio_curve]
    return line_chart(
        f"{capital(endpoint)} by amount of synthetic images, %",
        "synthetic images per real image",
        [
            Curve(f"{split}, with 95 % interval", "arm-real_and_synthetic", tested),
            Curve(f"{chosen_on}, where the ratio was chosen", "arm-quiet", chose),
        ],
        note="ringed: the chosen ratio",
        references=[*reference_of(trial, REAL, "real only", "arm-real_only")],
        x_axis="even",
    )


def learning_chart(trial: Trial, endpoint: str) -> LineChart | None:
    """Real data's own learning curve, and the level that synthetic images alone reach."""
    points = [
        Point(
            one.images,
            missing_as_nan(percent(one.value)),
            percent(one.ci_low),
            percent(one.ci_high),
        )
        for one in trial.learning_curve
    ]
    return line_chart(
        f"{capital(endpoint)} by number of real images, %",
        "real training images (logarithmic)",
        [Curve("real images, with 95 % interval", "arm-real_only", points)],
        references=[*reference_of(trial, SYNTHETIC, "synthetic only", "arm-synthetic_only")],
        x_axis="logarithmic",
        ticks_at_points=True,
    )


def convergence_chart(
    trial: Trial, key: dict[str, tuple[str, str]], endpoint: str
) -> LineChart | None:
    """Did real only stop improving? Otherwise the comparison would not be fair to it."""
    found = trial.convergence
    last = max((one.step for steps in found.values() for one in steps), default=0)
    curves = [
        Curve(
            words,
            style,
            [
                Point(one.step, 100 * one.holdout)
                for one in found[name]
                if one.step >= STEEP_PART * last
            ],
        )
        for name, (words, style) in key.items()
        if found.get(name)
    ]
    if all(len(curve.points) < 2 for curve in curves):  # a classifier that is fitted in one go
        return None
    title = f"{capital(endpoint)} on the holdout while training, %"
    note = "mean over seeds; the first fifth, where all rise, is left out"
    return line_chart(title, "optimizer step", curves, note=note)


def reference_of(trial: Trial, name: str, label: str, style: str) -> Iterable[Level]:
    for arm in trial.arms:
        if arm.name == name and arm.test.value is not None:
            low, high = percent(arm.test.ci_low), percent(arm.test.ci_high)
            yield Level(label, style, 100 * arm.test.value, low, high)


def percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def missing_as_nan(value: float | None) -> float:
    """A gap in a line."""
    return math.nan if value is None else value


def scenario_charts(
    scenarios: Sequence[Scenario], key: dict[str, tuple[str, str]]
) -> list[LineChart]:
    """Small multiples: accuracy against strength, one chart per corruption."""
    charts = []
    for name in names_of(scenarios):
        curves = [
            Curve(
                words,
                style,
                [
                    Point(one.strength, 100 * one.accuracy)
                    for one in scenarios
                    if one.name == name and one.arm == arm and one.accuracy is not None
                ],
            )
            for arm, (words, style) in key.items()
        ]
        title = capital(name.replace("_", " "))
        chart = line_chart(
            title,
            "strength",
            curves,
            note="accuracy, %",
            ticks_at_points=True,
            size=SMALL,
        )
        if chart is not None:
            charts.append(chart)
    return charts
