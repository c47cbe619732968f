"""A trial's comparisons and arms as tables."""

from __future__ import annotations

from synthgen.evaluation.report.tables import Cell, Column, Row, Table
from synthgen.evaluation.report.verdict import badge, capital, label_of, style_of, unsigned
from synthgen.evaluation.report.wording import (
    NOT_TESTED,
    share_label,
    show_p,
    show_points,
    show_share,
)
from synthgen.evaluation.trial.schema import Copies, Interval, OtherClasses, Trial, TrialVerdict


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
