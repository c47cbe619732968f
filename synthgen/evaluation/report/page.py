"""report.json -> report.html: one page that needs nothing but a browser."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen import pages
from synthgen.evaluation.report.answers import answers
from synthgen.evaluation.report.blocks import (
    CHARTS,
    detail_blocks,
    embed,
    frequent_mistakes,
    matrices,
    neighbour_blocks,
    quoted,
    tested_sentence,
    tiles,
)
from synthgen.evaluation.report.canvas import Sheet, swatch, write_pdfs
from synthgen.evaluation.report.charts import TEMPLATES, AnyChart, drawn
from synthgen.evaluation.report.evidence import COPIES, copy_blocks, statistics_view
from synthgen.evaluation.report.formatting import TOO_FEW, reference_split
from synthgen.evaluation.report.plots import (
    classifier_chart,
    reference_plots,
    training_charts,
    transfer_plots,
)
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.report.tables import (
    class_table,
    control_table,
    in_parts,
    reference_tables,
    transfer_table,
)
from synthgen.evaluation.report.trial import TrialView, trial_view
from synthgen.evaluation.report.verdict import headline, verdict_text
from synthgen.io import write_text
from synthgen.progress import format_duration

if TYPE_CHECKING:
    from jinja2 import Environment, Template

PAGE = "report.html"
MAPS = ("embedding_map", "spectra")  # kinds of figure that have a section of their own


def write_page(report: Report, folder: Path) -> Path:
    """Write ``folder/report.html`` from a report.

    Pictures are read from ``folder`` and embedded; each chart is also a PDF in ``folder/charts``.
    Everything in the report is treated as text
    from a stranger: it is escaped, and the page forbids itself scripts and network access.
    """
    path, charts = Path(folder) / PAGE, ChartFolder()
    page = template("report.html.j2").render(context(report, Path(folder), charts))
    charts.write(Path(folder))
    write_text(path, page)
    return path


def environment(*folders: Path) -> Environment:
    """Jinja with the templates of reports and those in ``folders``; everything is escaped."""
    made = pages.environment(*folders, TEMPLATES)
    made.globals |= {"too_few": TOO_FEW, "swatch": swatch}
    return made


@cache
def template(name: str) -> Template:
    return environment().get_template(name)


class ChartFolder:
    """The charts of a page: drawn one by one, and in the end written as PDFs, all at once."""

    def __init__(self) -> None:
        self.sheets: dict[str, Sheet] = {}

    def add(self, chart: AnyChart, name: str) -> AnyChart:
        """The chart as the page shows it; its PDF is called by ``name``, with a number if there is
        another of that name."""
        name, number = slug(name), 1
        while (file := f"{CHARTS}/{name}{f'_{number}' if number > 1 else ''}.pdf") in self.sheets:
            number += 1
        made, self.sheets[file] = drawn(chart, file)
        return made

    def add_all(self, charts: Sequence[AnyChart], prefix: str) -> list[AnyChart]:
        return [self.add(chart, f"{prefix} {chart.title}") for chart in charts]

    def write(self, folder: Path) -> None:
        if self.sheets:
            write_pdfs({folder / file: sheet for file, sheet in self.sheets.items()})


def slug(text: str) -> str:
    """A file name out of a title: letters, digits and underscores."""
    return re.sub(r"[^a-z0-9.-]+", "_", text.lower().replace("é", "e")).strip("_.")[:80] or "chart"


def context(report: Report, folder: Path, charts: ChartFolder) -> dict[str, Any]:
    """Everything that the template shows."""
    judged = classifier_chart(report.curves.transfer, report.protocol.held_back_split)
    parts = {
        "trial": with_charts(trial_view(report), charts),
        **comparisons(report, charts),
        "copying": copy_blocks(report, folder),
        "statistics": statistics_view(report.statistics),
        "pictures": _pictures(report, folder),
        "maps": [embed(figure, folder) for figure in report.figures if figure.kind in MAPS],
        "per_class": in_parts(class_table(report.results)),
        "matrices": matrices(report.confusion),
        "mistakes": frequent_mistakes(report.confusion),
        "neighbours": neighbour_blocks(report, folder),
        "judge_chart": judged and charts.add(judged, "judges"),
        "training_charts": charts.add_all(training_charts(report.curves.training), "training"),
    }
    return {
        "title": f"{quoted(report.provenance.data.name)}: what is the synthetic set worth?",
        "tested": tested_sentence(report),
        "answers": answers(report),
        "headline": headline(report),
        "sentences": findings(report),
        "tiles": tiles(report),
        "links": links(parts),
        "seeds": report.protocol.judge.seeds,
        "intervals": report.protocol.intervals,
        "reference_split": reference_split(report),
        **parts,
        "details": detail_blocks(report),
        "created": report.created,
        "seconds": format_duration(report.seconds),
        "charts": CHARTS if charts.sheets else "",
    }


def findings(report: Report) -> list[str]:
    """The sentences but those that stand in a section of their own: the verdict's and copying's."""
    told = {verdict_text(report.verdict), *(found.sentence for found in report.copying.values())}
    return [sentence for sentence in report.sentences if sentence not in told]


def comparisons(report: Report, charts: ChartFolder) -> dict[str, Any]:
    """Transfer and fidelity: tables and plots."""
    results, references = report.results, report.references
    tables = reference_tables(results, references)
    return {
        "transfer": transfer_table(results),
        "transfer_plots": charts.add_all(transfer_plots(results), "transfer"),
        "controls": control_table(results, references),
        "reference_tables": [part for table in tables for part in in_parts(table)],
        "reference_plots": charts.add_all(reference_plots(results, references), "fidelity"),
    }


def with_charts(trial: TrialView | None, charts: ChartFolder) -> TrialView | None:
    """The trial with its charts drawn."""
    if trial is None:
        return None
    curves = {name: getattr(trial, name) for name in ("ratio", "learning", "convergence")}
    return replace(
        trial,
        forests=[
            drawn(f)[0] if f.layout == "stacked" else charts.add(f, "trial_arms")
            for f in trial.forests
        ],
        scenarios=charts.add_all(trial.scenarios, "scenario"),
        **{name: c and charts.add(c, f"trial_{name}") for name, c in curves.items()},
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


def _pictures(report: Report, folder: Path) -> Sequence[Any]:
    beside_distances = {block.figure for block in report.neighbours}
    wanted = [
        figure
        for figure in report.figures
        if figure.file not in beside_distances and figure.kind not in (*MAPS, COPIES)
    ]
    wanted.sort(key=lambda figure: figure.kind != "class_grid")  # stable: grids come first
    return [embed(figure, folder) for figure in wanted]
