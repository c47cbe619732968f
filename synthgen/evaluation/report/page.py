"""report.json -> report.html: one page that needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.evaluation.report.blocks import (
    detail_blocks,
    headline_worst,
    matrices,
    neighbour_blocks,
    tested_sentence,
    tiles,
    verdict_text,
)
from synthgen.evaluation.report.embed import embed
from synthgen.evaluation.report.plots import (
    judge_chart,
    reference_plots,
    training_charts,
    transfer_plots,
)
from synthgen.evaluation.report.tables import (
    class_table,
    control_table,
    reference_tables,
    transfer_table,
)
from synthgen.evaluation.report.wording import TOO_FEW, reference_split
from synthgen.paths import write_text
from synthgen.progress import format_duration

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE = "report.html"
TEMPLATES = Path(__file__).resolve().parent / "templates"


def write_page(report: dict[str, Any], folder: Path) -> Path:
    """Write ``folder/report.html`` from a report (the contents of report.json).

    Pictures are read from ``folder`` and embedded. Everything in the report is treated as text
    from a stranger: it is escaped, and the page forbids itself scripts and network access.
    """
    template = environment().get_template("report.html.j2")
    path = Path(folder) / PAGE
    write_text(path, template.render(context(report, Path(folder))))
    return path


def environment(*folders: Path) -> Environment:
    """Jinja with the shared templates and those in ``folders``; everything is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["too_few"] = TOO_FEW
    return made


def context(report: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Everything that the template shows. Keys that an older report lacks leave their part out."""
    results, references = report.get("results") or [], report.get("references") or []
    curves, protocol = report.get("curves") or {}, report.get("protocol") or {}
    per_class, worst = class_table(results)
    data = (report.get("provenance") or {}).get("data") or {}
    seconds = report.get("seconds")
    return {
        "title": f"{data.get('name') or 'Unnamed data'}: what is the synthetic set worth?",
        "tested": tested_sentence(report),
        "verdict": verdict_text(report.get("verdict")),
        "sentences": report.get("sentences") or [],
        "tiles": tiles(report, worst),
        "transfer": transfer_table(results),
        "transfer_plots": transfer_plots(results),
        "seeds": seeds_of(protocol),
        "intervals": protocol.get("intervals") or "",
        "reference_split": reference_split(report),
        "controls": control_table(results, references),
        "reference_tables": reference_tables(results, references),
        "reference_plots": reference_plots(results, references),
        "pictures": _pictures(report, folder),
        "per_class": per_class,
        "worst": headline_worst(worst),
        "matrices": matrices(report.get("confusion") or {}),
        "neighbours": neighbour_blocks(report, folder),
        "judge_chart": judge_chart(curves, protocol.get("held_back_split") or "holdout"),
        "training_charts": training_charts(curves),
        "details": detail_blocks(report),
        "created": report.get("created") or "at an unknown time",
        "seconds": format_duration(seconds) if seconds else "",
    }


def seeds_of(protocol: dict[str, Any]) -> Any:
    """The number of seeds, wherever the protocol says it."""
    seeds = protocol.get("seeds") or (protocol.get("judge") or {}).get("seeds")
    return len(seeds) if isinstance(seeds, list) else seeds


def _pictures(report: dict[str, Any], folder: Path) -> Sequence[Any]:
    beside_distances = {block.get("figure") for block in report.get("neighbours") or []}
    wanted = [f for f in report.get("figures") or [] if f.get("file") not in beside_distances]
    wanted.sort(key=lambda figure: figure.get("kind") != "class_grid")  # stable: grids come first
    return [embed(figure, folder) for figure in wanted]
