"""A trial's comparisons and arms as tables."""

from __future__ import annotations

from typing import Any

from synthgen.evaluation.report.tables import Cell, Column, Row, Table
from synthgen.evaluation.report.verdict import badge, capital, label_of, style_of, unsigned
from synthgen.evaluation.report.wording import (
    NOT_TESTED,
    is_number,
    share_label,
    show_count,
    show_p,
    show_points,
    show_share,
)


def comparison_table(
    verdict: dict[str, Any], labels: dict[str, str], protocol: str
) -> Table | None:
    """Every comparison with its p, primary first."""
    arms = verdict.get("arms") or []
    if not arms:
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
    for arm in sorted(arms, key=lambda one: not one.get("primary")):
        primary = bool(arm.get("primary"))
        endpoint = share_label(str(arm.get("endpoint") or verdict.get("endpoint")))
        tip = f"{endpoint}{protocol[protocol.find(' · ') :]}" if " · " in protocol else protocol
        name = capital(label_of(arm.get("name"), labels))
        note = f"against {label_of(arm.get('against'), labels)}, {endpoint}"
        found, others = arm.get("smallest_detectable"), others_text(arm.get("others"))
        note = "\n".join(filter(None, [note, others, control_text(arm.get("control"))]))
        rows.append(
            Row(
                name,
                f"primary contrast\n{note}" if primary else note,
                [
                    Cell(
                        *show_points(arm.get("difference"), arm.get("ci_low"), arm.get("ci_high")),
                        tip=f"{tip} · t-interval, Satterthwaite degrees of freedom",
                    ),
                    Cell(show_p(arm.get("p")), tip=f"{tip} · paired t test"),
                    Cell(
                        "primary" if primary else show_p(arm.get("p_adjusted")),
                        tip="The primary contrast stands alone and needs no adjustment"
                        if primary
                        else f"{tip} · Holm over all secondary comparisons",
                    ),
                    Cell(
                        findable(found),
                        tip=f"{tip} · found with 80 % power at this standard error",
                    ),
                    Cell(badge(arm.get("verdict")), style=style_of(arm.get("verdict"))),
                ],
                "model" if primary else "",
            )
        )
    return Table("Every comparison of the trial", columns, rows)


def findable(found: Any) -> str:
    """A score lies in 0..1, so no difference is above 100 points."""
    if not is_number(found):
        return NOT_TESTED
    return unsigned(found) if found <= 1 else "none"


def others_text(others: Any) -> str:
    """The other half of a comparison in recall of the rare classes."""
    if not isinstance(others, dict) or not is_number(others.get("difference")):
        return ""
    value, interval = show_points(others["difference"], others.get("ci_low"), others.get("ci_high"))
    margin = others.get("margin")
    allowed = f", at most −{100 * margin:g} allowed" if is_number(margin) else ""
    return f"other classes {value} points ({interval}){allowed}"


def control_text(control: Any) -> str:
    """The other half of a comparison with real only where the classes' shares were moved."""
    if not isinstance(control, dict) or not is_number(control.get("difference")):
        return ""
    ends = control.get("ci_low"), control.get("ci_high")
    value, interval = show_points(control["difference"], *ends)
    return f"against copies of real images {value} points ({interval})"


def arms_table(
    trial: dict[str, Any],
    labels: dict[str, str],
    endpoint: str,
    protocol: str,
    split: str = "test",
) -> Table | None:
    """What each arm was trained on and what it scored."""
    arms = trial.get("arms") or []
    if not arms:
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
    for arm in arms:
        test, balanced = arm.get("test") or {}, arm.get("balanced_accuracy") or {}
        seeds = [x for x in arm.get("per_seed") or [] if is_number(x)]
        steps = sorted(x for x in arm.get("chosen_steps") or [] if is_number(x))
        n_real, n_synthetic = arm.get("n_real") or 0, arm.get("n_synthetic") or 0
        range_text = (
            f"{show_share(min(seeds))[0]} to {show_share(max(seeds))[0]}" if seeds else NOT_TESTED
        )
        holdout = arm.get("holdout")
        cells: list[Cell | None] = [
            Cell(f"{n_real:,} + {n_synthetic:,}"),
            Cell(
                *show_share(test.get("value"), test.get("ci_low"), test.get("ci_high")),
                tip=protocol,
            ),
            Cell(
                *show_share(balanced.get("value"), balanced.get("ci_low"), balanced.get("ci_high"))
            )
            if is_number(balanced.get("value"))
            else None,
            Cell(range_text, tip=f"Each seed by itself · {protocol}"),
            Cell(
                show_share(holdout)[0] if is_number(holdout) else NOT_TESTED,
                tip="Mean over seeds on the holdout; chose, and proves nothing",
            ),
            Cell(
                f"{steps[len(steps) // 2]:,}" if steps else NOT_TESTED,
                tip="The moment of each training that was best on the holdout",
            ),
        ]
        name = capital(label_of(arm.get("name"), labels))
        notes = ["chosen ratio" if arm.get("chosen") else "", counted(arm.get("n"), split)]
        rows.append(
            Row(name, "\n".join(filter(None, notes)), cells, "model" if arm.get("chosen") else "")
        )
    return Table("What each arm saw and scored", columns, rows)


def counted(n: Any, split: str) -> str:
    return f"n = {n:,} {split} images" if is_number(n) else ""


def mcnemar_table(trial: dict[str, Any], key: dict[str, tuple[str, str]]) -> Table | None:
    """Seed by seed, as a description: images that only one of two classifiers got right."""
    rows = []
    for arm in trial.get("arms") or []:
        if arm.get("name") in key and arm.get("mcnemar"):
            words = key[arm["name"]][0]
            rows += [
                Row(
                    words,
                    f"seed {one.get('seed')}",
                    [
                        Cell(show_count(one.get("only_this_right"))[0]),
                        Cell(show_count(one.get("only_real_right"))[0]),
                        Cell(show_p(one.get("p"))),
                    ],
                )
                for one in arm["mcnemar"]
            ]
    columns = [
        Column("Only this right", "images", "ours"),
        Column("Only real-only right", "images", "theirs"),
        Column("p", "exact McNemar, this seed", "p"),
    ]
    return Table("McNemar, seed by seed", columns, rows) if rows else None
