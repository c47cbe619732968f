"""Which of the report's numbers are drawn, and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

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
    Reference,
    dot_plot,
    line_chart,
)
from synthgen.evaluation.report.slices import names_of
from synthgen.evaluation.report.tables import MODEL, Result, overall
from synthgen.evaluation.report.verdict import badge, capital, label_of, style_of
from synthgen.evaluation.report.wording import (
    ARMS,
    REFERENCES,
    arm_of,
    direction,
    is_number,
    is_share,
    metric_label,
    show,
    show_points,
)

CLOCKS = ("images_seen", "step", "epoch")
NOT_CURVES = {*CLOCKS, "seconds", "time", "elapsed"}
MAX_TRAINING_CHARTS = 9
STEEP_PART = 0.2  # of the training, in which every curve rises and hides the end
REAL, SYNTHETIC = "real_only", "synthetic_only"
SMALL = (360, 220)  # of small multiples


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
        marks = [_mark(ARMS.get(arm, arm), own[arm], arm_style(arm)) for arm in arms]
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
    found = [
        Curve(
            ARMS.get(arm, arm),
            arm_style(arm),
            [Point(p.get("step"), percent(p.get("accuracy_holdout"))) for p in transfer[arm]],
        )
        for arm in arms_in_order(transfer)
    ]
    title = f"Accuracy on {held_back} images while the judges train, %"
    return line_chart(title, "optimizer step", found)


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
        points = [Point(row[at], row[index]) for row in training["rows"] if len(row) > index]
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
    full = REFERENCES.get(kind, str(kind).replace("_", " "))
    return short.get(kind) or full.split(":")[0].split(",")[0]


def _mark(label: str, result: Result, style: str) -> Mark:
    scale = 100 if is_share(str(result["name"])) else 1

    def scaled(key: str) -> float | None:
        value = result.get(key)
        return value * scale if is_number(value) else None

    return Mark(label, scaled("value"), scaled("ci_low"), scaled("ci_high"), show(result)[0], style)


def forests(verdict: dict[str, Any], labels: dict[str, str], endpoint: str) -> list[Forest]:
    """Differences to real only on the endpoint; the primary arm first, then as in the trial."""
    rows = [
        Difference(
            capital(label_of(arm.get("name"), labels)),
            100 * arm["difference"],
            100 * arm["ci_low"],
            100 * arm["ci_high"],
            " · ".join(show_points(arm["difference"], arm["ci_low"], arm["ci_high"])).replace(
                " · ", " ("
            )
            + ")",
            badge(arm.get("verdict")),
            style_of(arm.get("verdict")),
            bool(arm.get("primary")),
        )
        for arm in on_endpoint(verdict)
        if arm.get("against") == REAL
        and all(is_number(arm.get(key)) for key in ("difference", "ci_low", "ci_high"))
    ]
    rows.sort(key=lambda row: not row.primary)
    least = verdict.get("minimum_difference")
    minimum = 100 * least if is_number(least) else None
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


def on_endpoint(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    """Comparisons on the declared endpoint."""
    own = verdict.get("endpoint")
    return [arm for arm in verdict.get("arms") or [] if arm.get("endpoint", own) == own]


def ratio_chart(
    trial: dict[str, Any], endpoint: str, split: str = "test", chosen_on: str = "holdout"
) -> LineChart | None:
    """The endpoint against the amount of synthetic images; real only is the level to beat."""
    found = trial.get("ratio_curve") or []
    tested = [
        Point(
            p.get("ratio"),
            percent(p.get("test")),
            percent(p.get("ci_low")),
            percent(p.get("ci_high")),
            bool(p.get("chosen")),
        )
        for p in found
    ]
    chose = [Point(p.get("ratio"), percent(p.get("holdout"))) for p in found]
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


def learning_chart(trial: dict[str, Any], endpoint: str) -> LineChart | None:
    """Real data's own learning curve, and the level that synthetic images alone reach."""
    points = [
        Point(
            p.get("images"),
            percent(p.get("value")),
            percent(p.get("ci_low")),
            percent(p.get("ci_high")),
        )
        for p in trial.get("learning_curve") or []
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
    trial: dict[str, Any], key: dict[str, tuple[str, str]], endpoint: str
) -> LineChart | None:
    """Did real only stop improving? Otherwise the comparison would not be fair to it."""
    found = trial.get("convergence") or {}
    last = max(
        (p["step"] for ps in found.values() for p in ps if is_number(p.get("step"))), default=0
    )
    curves = [
        Curve(
            words,
            style,
            [
                Point(p.get("step"), percent(p.get("holdout")))
                for p in found[name]
                if is_number(p.get("step")) and p["step"] >= STEEP_PART * last
            ],
        )
        for name, (words, style) in key.items()
        if found.get(name)
    ]
    if all(len(curve.points) < 2 for curve in curves):  # a judge that is fitted in one go
        return None
    title = f"{capital(endpoint)} on the holdout while training, %"
    note = "mean over seeds; the first fifth, where all rise, is left out"
    return line_chart(title, "optimizer step", curves, note=note)


def reference_of(trial: dict[str, Any], name: str, label: str, style: str) -> Iterable[Reference]:
    for arm in trial.get("arms") or []:
        test = arm.get("test") or {}
        if arm.get("name") == name and is_number(test.get("value")):
            low, high = percent_or_none(test.get("ci_low")), percent_or_none(test.get("ci_high"))
            yield Reference(label, style, 100 * test["value"], low, high)


def percent(value: Any) -> float:
    return 100 * value if is_number(value) else float("nan")


def percent_or_none(value: Any) -> float | None:
    return 100 * value if is_number(value) else None


def scenario_charts(
    scenarios: Sequence[dict[str, Any]], key: dict[str, tuple[str, str]]
) -> list[LineChart]:
    """Small multiples: accuracy against strength, one chart per corruption."""
    charts = []
    for name in names_of(scenarios):
        curves = [
            Curve(
                words,
                style,
                [
                    Point(s.get("strength", 0), 100 * s["accuracy"])
                    for s in scenarios
                    if str(s.get("name")) == name
                    and s.get("arm") == arm
                    and is_number(s.get("accuracy"))
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
