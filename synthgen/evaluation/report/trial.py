"""A trial's arms, comparisons, curves and slices, arranged as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass, field

from synthgen.evaluation.report.charts import Forest, LineChart
from synthgen.evaluation.report.formatting import (
    NOT_TESTED,
    reference_split,
    share_label,
    show_p,
    show_points,
    show_share,
)
from synthgen.evaluation.report.plots import (
    REAL,
    SYNTHETIC,
    convergence_chart,
    forests,
    learning_chart,
    ratio_chart,
    scenario_charts,
)
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.report.slices import (
    agreement_table,
    fairness_tables,
    recall_table,
    scenario_tables,
    tail_table,
)
from synthgen.evaluation.report.tables import Cell, Column, Row, Table
from synthgen.evaluation.report.verdict import (
    badge,
    label_of,
    labels_of,
    style_of,
    trial_protocol,
    unsigned,
)
from synthgen.evaluation.schema import Interval
from synthgen.evaluation.trial.narrative import capital
from synthgen.evaluation.trial.schema import Copies, OtherClasses, Trial, TrialVerdict


def comparison_table(verdict: TrialVerdict, labels: dict[str, str], protocol: str) -> Table | None:
    """Every comparison with its p, primary first."""
    if not verdict.arms:
        return None
    columns = [
        Column(
            "Difference",
            "points, 95 % interval",
            "difference",
            f"{protocol} · t-interval, Satterthwaite degrees of freedom",
        ),
        Column("p", "two-sided", "p", f"{protocol} · paired t test"),
        Column(
            "Adjusted p",
            "Holm, secondary only",
            "p_adjusted",
            "Holm over all secondary comparisons; the primary contrast needs no adjustment",
        ),
        Column(
            "Detectable",
            "points, at 80 % power",
            "detectable",
            f"{protocol} · found with 80 % power at this standard error",
        ),
        Column("Verdict", "", "verdict"),
    ]
    rows = []
    for arm in sorted(verdict.arms, key=lambda one: not one.primary):
        endpoint = share_label(arm.endpoint or verdict.endpoint)
        tip = f"{endpoint}{protocol[protocol.find(' · ') :]}" if " · " in protocol else protocol
        note = f"against {label_of(arm.against, labels)}, {endpoint}"
        parts = [note, others_text(arm.others), copies_text(arm.control)]
        note = "\n".join(filter(None, parts))
        rows.append(
            Row(
                capital(label_of(arm.name, labels)),
                f"primary contrast\n{note}" if arm.primary else note,
                [
                    Cell(
                        *show_points(arm.difference, arm.ci_low, arm.ci_high),
                        tip=f"{tip} · t-interval, Satterthwaite degrees of freedom",
                    ),
                    Cell(show_p(arm.p), tip=f"{tip} · paired t test"),
                    Cell(
                        "primary" if arm.primary else show_p(arm.p_adjusted),
                        tip="The primary contrast stands alone and needs no adjustment"
                        if arm.primary
                        else f"{tip} · Holm over all secondary comparisons",
                    ),
                    Cell(
                        findable(arm.smallest_detectable),
                        tip=f"{tip} · found with 80 % power at this standard error",
                    ),
                    Cell(badge(arm.verdict), style=style_of(arm.verdict)),
                ],
                "model" if arm.primary else "",
            )
        )
    return Table("Every comparison of the trial", columns, rows)


def findable(found: float) -> str:
    """A score lies in 0..1, so no difference is above 100 points."""
    return unsigned(found) if found <= 1 else "none"


def others_text(others: OtherClasses | None) -> str:
    """The other half of a comparison in recall of the rare classes."""
    if others is None:
        return ""
    value, interval = show_points(others.difference, others.ci_low, others.ci_high)
    allowed = f"at most −{100 * others.margin:g} allowed"
    return f"other classes {value} points ({interval}), {allowed}"


def copies_text(copies: Copies | None) -> str:
    """The other half of a comparison with real only where the classes' shares were moved."""
    if copies is None:
        return ""
    value, interval = show_points(copies.difference, copies.ci_low, copies.ci_high)
    return f"against copies of real images {value} points ({interval})"


def arms_table(
    trial: Trial,
    labels: dict[str, str],
    endpoint: str,
    protocol: str,
    split: str = "test",
) -> Table | None:
    """What each arm was trained on and what it scored."""
    if not trial.arms:
        return None
    columns = [
        Column("Images", "real + synthetic", "images"),
        Column(capital(endpoint), f"{split}, 95 % interval", "test", protocol),
        Column(
            "Balanced accuracy", f"{split}, 95 % interval", "balanced", "Mean recall of all classes"
        ),
        Column("Seeds", "lowest to highest", "seeds", f"Each seed by itself · {protocol}"),
        Column(
            "Holdout",
            "for choosing",
            "holdout",
            "Mean over seeds on the holdout; chose, and proves nothing",
        ),
        Column(
            "Steps",
            "chosen, median",
            "steps",
            "The moment of each training that was best on the holdout",
        ),
    ]
    rows = []
    for arm in trial.arms:
        steps, balanced = sorted(arm.chosen_steps), arm.balanced_accuracy
        seeds = [share_text(min(arm.per_seed)), share_text(max(arm.per_seed))]
        cells: list[Cell | None] = [
            Cell(f"{arm.n_real:,} + {arm.n_synthetic:,}"),
            Cell(*show_share(arm.test), tip=protocol),
            Cell(*show_share(balanced)) if balanced else None,
            Cell(" to ".join(seeds), tip=f"Each seed by itself · {protocol}"),
            Cell(
                share_text(arm.holdout),
                tip="Mean over seeds on the holdout; chose, and proves nothing",
            ),
            Cell(
                f"{steps[len(steps) // 2]:,}" if steps else NOT_TESTED,
                tip="The moment of each training that was best on the holdout",
            ),
        ]
        name = capital(label_of(arm.name, labels))
        notes = ["chosen ratio" if arm.chosen else "", f"n = {arm.n:,} {split} images"]
        note = "\n".join(filter(None, notes))
        rows.append(Row(name, note, cells, "model" if arm.chosen else ""))
    return Table("What each arm saw and scored", columns, rows)


def share_text(value: float) -> str:
    return show_share(Interval(value=value, ci_low=None, ci_high=None))[0]


def mcnemar_table(trial: Trial, key: dict[str, tuple[str, str]]) -> Table | None:
    """Seed by seed, as a description: images that only one of two classifiers got right."""
    rows = [
        Row(
            key[arm.name][0],
            f"seed {one.seed}",
            [
                Cell(f"{one.only_this_right:,}"),
                Cell(f"{one.only_real_right:,}"),
                Cell(show_p(one.p)),
            ],
        )
        for arm in trial.arms
        for one in arm.mcnemar or []
        if arm.name in key
    ]
    columns = [
        Column("Only this right", "images", "ours"),
        Column("Only real-only right", "images", "theirs"),
        Column("p", "exact McNemar, this seed", "p"),
    ]
    return Table("McNemar, seed by seed", columns, rows) if rows else None


@dataclass(frozen=True)
class TrialView:
    """Everything about the trial below the verdict; what was not measured is empty or None."""

    endpoint: str
    protocol: str
    note: str
    forests: list[Forest]  # the same for wide and for narrow screens
    arms: Table | None
    comparisons: Table | None
    ratio: LineChart | None
    learning: LineChart | None
    convergence: LineChart | None
    agreement: Table | None
    scenarios: list[LineChart]
    scenario_tables: list[Table]
    tail: Table | None
    recall: Table | None
    fairness: list[Table]
    fairness_sentences: list[str]
    mcnemar: Table | None
    skipped: list[tuple[str, str]] = field(default_factory=list)


def trial_view(report: Report) -> TrialView | None:
    """None for a report without a trial."""
    trial, verdict = report.trial, report.verdict
    if trial is None or verdict is None:
        return None
    labels, protocol = labels_of(report), trial_protocol(report)
    key = key_arms(trial, verdict, labels)
    endpoint, split = share_label(verdict.endpoint), reference_split(report)
    return TrialView(
        endpoint=endpoint,
        protocol=protocol,
        note="Every seed of a synthetic arm has its own draw from the sampler."
        if trial.protocol.source == "sampler"
        else "All this holds for this folder of images, not for other draws of its generator.",
        forests=forests(verdict, labels, endpoint),
        arms=arms_table(trial, labels, endpoint, protocol, split),
        comparisons=comparison_table(verdict, labels, protocol),
        ratio=ratio_chart(
            trial, endpoint, split, "holdout" if split == "test" else "held-back training images"
        ),
        learning=learning_chart(trial, endpoint),
        convergence=convergence_chart(trial, key, endpoint),
        agreement=agreement_table(trial.gan_test),
        scenarios=scenario_charts(trial.scenarios, key),
        scenario_tables=scenario_tables(trial.scenarios, labels, split),
        tail=tail_table(trial.tail, labels, split),
        recall=recall_table(trial, key, protocol),
        fairness=fairness_tables(report.fairness, protocol),
        fairness_sentences=report.fairness.sentences if report.fairness else [],
        mcnemar=mcnemar_table(trial, key),
        skipped=[(label_of(one.arm, labels), one.reason) for one in trial.skipped],
    )


def key_arms(
    trial: Trial, verdict: TrialVerdict, labels: dict[str, str]
) -> dict[str, tuple[str, str]]:
    """The few arms that a chart can hold: name -> (words, style). Real only, the best cheap one,
    synthetic only, the chosen combination, and whatever is no arm of the trial (the user's own
    classifier)."""
    cheap, primary = verdict.against_best_cheap, verdict.primary
    styles = {
        REAL: "arm-real_only",
        cheap and cheap.name: "arm-cheap",
        SYNTHETIC: "arm-synthetic_only",
        primary and primary.name: "arm-real_and_synthetic",
    }
    found = {
        name: (capital(label_of(name, labels)), style) for name, style in styles.items() if name
    }
    known = {arm.name for arm in trial.arms}
    for name in (one.arm for one in trial.scenarios if one.arm not in known):
        found[name] = (capital(label_of(name, labels)), "arm-own")
    return found
