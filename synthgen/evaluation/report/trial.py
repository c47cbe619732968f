"""A trial's arms, curves and slices, arranged as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass, field

from synthgen.evaluation.report.charts import Forest, LineChart
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
from synthgen.evaluation.report.tables import Table
from synthgen.evaluation.report.trial_tables import arms_table, comparison_table, mcnemar_table
from synthgen.evaluation.report.verdict import (
    capital,
    label_of,
    labels_of,
    trial_protocol,
)
from synthgen.evaluation.report.wording import (
    reference_split,
    share_label,
)
from synthgen.evaluation.trial.schema import Trial, TrialVerdict


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
