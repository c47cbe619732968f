"""A trial's curves: amount of synthetic images, amount of real images, and training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synthgen.evaluation.report.charts import LineChart
from synthgen.evaluation.report.intervals import Curve, Point, Reference, interval_chart
from synthgen.evaluation.report.verdict import capital
from synthgen.evaluation.report.wording import is_number

STEEP_PART = 0.2  # of the training, in which every curve rises and hides the end
REAL, SYNTHETIC = "real_only", "synthetic_only"


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
    return interval_chart(
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
    return interval_chart(
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
    return interval_chart(title, "optimizer step", curves, note=note)


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
