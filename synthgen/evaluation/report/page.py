"""report.json -> report.html: one page that needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthgen.evaluation.report.blocks import (
    detail_blocks,
    frequent_mistakes,
    headline_worst,
    matrices,
    neighbour_blocks,
    quoted,
    tested_sentence,
    tiles,
)
from synthgen.evaluation.report.drawing import all_filed, filed, template
from synthgen.evaluation.report.embed import embed
from synthgen.evaluation.report.evidence import COPIES, copy_blocks, statistics_view
from synthgen.evaluation.report.plots import (
    judge_chart,
    reference_plots,
    training_charts,
    transfer_plots,
)
from synthgen.evaluation.report.tables import (
    class_table,
    control_table,
    in_parts,
    reference_tables,
    transfer_table,
)
from synthgen.evaluation.report.trial import TrialView, trial_view
from synthgen.evaluation.report.verdict import headline
from synthgen.evaluation.report.wording import reference_split
from synthgen.paths import write_text
from synthgen.progress import format_duration

PAGE = "report.html"
MAPS = ("embedding_map", "spectra")  # kinds of figure that have a section of their own


def write_page(report: dict[str, Any], folder: Path) -> Path:
    """Write ``folder/report.html`` from a report (the contents of report.json).

    Pictures are read from ``folder`` and embedded. Everything in the report is treated as text
    from a stranger: it is escaped, and the page forbids itself scripts and network access.
    """
    path = Path(folder) / PAGE
    write_text(path, template("report.html.j2").render(context(report, Path(folder))))
    return path


def context(report: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Everything that the template shows. Keys that an older report lacks leave their part out."""
    results = report.get("results") or []
    curves, protocol = report.get("curves") or {}, report.get("protocol") or {}
    per_class, worst = class_table(results)
    data = (report.get("provenance") or {}).get("data") or {}
    seconds = report.get("seconds")
    judged = judge_chart(curves, protocol.get("held_back_split") or "holdout")
    parts = {
        "trial": with_files(trial_view(report), folder),
        **comparisons(results, report.get("references") or [], folder),
        "copying": copy_blocks(report, folder),
        "statistics": statistics_view(report),
        "pictures": _pictures(report, folder),
        "maps": [embed(f, folder) for f in report.get("figures") or [] if f.get("kind") in MAPS],
        "per_class": in_parts(per_class),
        "worst": headline_worst(worst),
        "matrices": matrices(report.get("confusion") or {}),
        "mistakes": frequent_mistakes(report.get("confusion") or {}),
        "neighbours": neighbour_blocks(report, folder),
        "judge_chart": judged and filed(judged, folder, "judges"),
        "training_charts": all_filed(training_charts(curves), folder, "training"),
    }
    return {
        "title": f"{quoted(data.get('name'))}: what is the synthetic set worth?",
        "tested": tested_sentence(report),
        "headline": headline(report),
        "sentences": report.get("sentences") or [],
        "tiles": tiles(report, worst),
        "links": links(parts),
        "seeds": seeds_of(protocol),
        "intervals": protocol.get("intervals") or "",
        "reference_split": reference_split(report),
        **parts,
        "details": detail_blocks(report),
        "created": report.get("created") or "at an unknown time",
        "seconds": format_duration(seconds) if seconds else "",
    }


def comparisons(results: Sequence[Any], references: Sequence[Any], folder: Path) -> dict[str, Any]:
    """Transfer and fidelity: tables and plots."""
    tables = reference_tables(results, references)
    return {
        "transfer": transfer_table(results),
        "transfer_plots": all_filed(transfer_plots(results), folder, "transfer"),
        "controls": control_table(results, references),
        "reference_tables": [part for table in tables for part in in_parts(table)],
        "reference_plots": all_filed(reference_plots(results, references), folder, "fidelity"),
    }


def with_files(trial: TrialView | None, folder: Path) -> TrialView | None:
    """The trial with each of its drawings also written to a file."""
    if trial is None:
        return None
    charts = {name: getattr(trial, name) for name in ("ratio", "learning", "convergence")}
    return replace(
        trial,
        forests=[f if f.stacked else filed(f, folder, "trial_arms") for f in trial.forests],
        scenarios=all_filed(trial.scenarios, folder, "scenario"),
        **{name: c and filed(c, folder, f"trial_{name}") for name, c in charts.items()},
    )


def links(parts: dict[str, Any]) -> list[tuple[str, str]]:
    """The page's sections that have something to show: anchors and short names."""
    trial = parts["trial"]
    found = [
        ("arms", "Arms", trial),
        ("amount", "Amount", trial and (trial.ratio or trial.learning or trial.convergence)),
        ("scenarios", "Harder images", trial and trial.scenarios),
        ("classes-before-after", "Gains by class",
         trial and (trial.tail or trial.recall or trial.agreement or trial.fairness)),
        ("transfer", "Transfer", parts["transfer"]),
        ("fidelity", "Fidelity", parts["reference_plots"]),
        ("copying", "Copying", parts["copying"]),
        ("statistics", "Statistics", parts["statistics"]),
        ("pictures", "Pictures", parts["pictures"]),
        ("maps", "Maps and spectra", parts["maps"]),
        ("classes", "Classes", parts["per_class"]),
        ("mistakes", "Mistakes", parts["matrices"] or parts["mistakes"]),
        ("neighbours", "Neighbours", parts["neighbours"]),
        ("curves", "Curves", parts["judge_chart"] or parts["training_charts"]),
        ("protocol", "Protocol", True),
    ]  # fmt: skip
    return [(anchor, name) for anchor, name, there in found if there]


def seeds_of(protocol: dict[str, Any]) -> Any:
    """The number of seeds, wherever the protocol says it."""
    seeds = protocol.get("seeds") or (protocol.get("judge") or {}).get("seeds")
    return len(seeds) if isinstance(seeds, list) else seeds


def _pictures(report: dict[str, Any], folder: Path) -> Sequence[Any]:
    beside_distances = {block.get("figure") for block in report.get("neighbours") or []}
    wanted = [
        figure
        for figure in report.get("figures") or []
        if figure.get("file") not in beside_distances and figure.get("kind") not in (*MAPS, COPIES)
    ]
    wanted.sort(key=lambda figure: figure.get("kind") != "class_grid")  # stable: grids come first
    return [embed(figure, folder) for figure in wanted]
