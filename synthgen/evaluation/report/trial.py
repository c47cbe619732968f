"""A trial's arms, curves and slices, arranged as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
    primary_of,
    trial_protocol,
)
from synthgen.evaluation.report.wording import (
    reference_split,
    share_label,
)


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


def trial_view(report: dict[str, Any]) -> TrialView | None:
    """None for a report without a trial."""
    trial, verdict = report.get("trial"), report.get("verdict")
    if not isinstance(trial, dict) or not isinstance(verdict, dict):
        return None
    labels, protocol = labels_of(report), trial_protocol(report)
    key = key_arms(report)
    fair = report.get("fairness") or trial.get("fairness") or {}
    endpoint = share_label(str(verdict.get("endpoint") or "score"))
    split = reference_split(report)
    source = (trial.get("protocol") or {}).get("source")
    return TrialView(
        endpoint=endpoint,
        protocol=protocol,
        note="Every seed of a synthetic arm has its own draw from the sampler."
        if source == "sampler"
        else "All this holds for this folder of images, not for other draws of its generator.",
        forests=forests(verdict, labels, endpoint),
        arms=arms_table(trial, labels, endpoint, protocol, split),
        comparisons=comparison_table(verdict, labels, protocol),
        ratio=ratio_chart(
            trial, endpoint, split, "holdout" if split == "test" else "held-back training images"
        ),
        learning=learning_chart(trial, endpoint),
        convergence=convergence_chart(trial, key, endpoint),
        agreement=agreement_table(trial.get("gan_test")),
        scenarios=scenario_charts(trial.get("scenarios") or [], key),
        scenario_tables=scenario_tables(trial.get("scenarios") or [], labels, split),
        tail=tail_table(trial.get("tail"), labels, split),
        recall=recall_table(trial, key, protocol),
        fairness=fairness_tables(fair, protocol),
        fairness_sentences=[str(one) for one in fair.get("sentences") or []],
        mcnemar=mcnemar_table(trial, key),
        skipped=[
            (label_of(one.get("arm"), labels), str(one.get("reason")))
            for one in trial.get("skipped") or []
            if one.get("arm") and one.get("reason")
        ],
    )


def key_arms(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The few arms that a chart can hold: name -> (words, style). Real only, the best cheap one,
    synthetic only, the chosen combination, and whatever is no arm of the trial (the user's own
    classifier)."""
    verdict = report.get("verdict") or {}
    trial = report.get("trial") or {}
    labels, primary = labels_of(report), primary_of(verdict) or {}
    cheap = (verdict.get("against_best_cheap") or {}).get("name")
    styles = {
        REAL: "arm-real_only",
        cheap: "arm-cheap",
        SYNTHETIC: "arm-synthetic_only",
        primary.get("name"): "arm-real_and_synthetic",
    }
    found = {
        str(name): (capital(label_of(name, labels)), style)
        for name, style in styles.items()
        if name
    }
    known = {arm.get("name") for arm in trial.get("arms") or []}
    for one in trial.get("scenarios") or []:
        if one.get("arm") not in known:
            name = str(one.get("arm"))
            found[name] = (capital(label_of(name, labels)), "arm-own")
    return found
