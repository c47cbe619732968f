"""The comparison on a terminal, in CSV and JSON, and as a page."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from synthgen.evaluation.compare.comparison import Comparison, Line, scope_text
from synthgen.evaluation.report.blocks import text_of
from synthgen.evaluation.report.charts import DotPlot, Mark, dot_plot, drawn
from synthgen.evaluation.report.embed import Figure, embed
from synthgen.evaluation.report.page import environment
from synthgen.evaluation.report.tables import Cell, Column, Row, Table
from synthgen.evaluation.report.wording import (
    direction,
    full_label,
    is_share,
    show,
)
from synthgen.paths import write_json, write_text
from synthgen.strange_names import plain_cell, printable

if TYPE_CHECKING:
    from rich.table import Table as RichTable

TEMPLATES = Path(__file__).resolve().parent / "templates"
MAX_TEXT = 120  # characters of a setting's value on the page


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """``comparison.json``, ``comparison.csv`` and ``comparison.html`` in ``folder``."""
    write_json(folder / "comparison.json", comparison.to_json())
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in (comparison.columns(), *comparison.records()):
        writer.writerow(map(plain_cell, row))
    write_text(folder / "comparison.csv", buffer.getvalue())
    template = environment(TEMPLATES).get_template("comparison.html.j2")
    write_text(folder / "comparison.html", template.render(context(comparison)))


def render(comparison: Comparison) -> RichTable:
    """The overall results as a table for the terminal; classes are in the files."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    overall, scoped = split_lines(comparison)
    caption = " ".join(comparison.sentences)
    if scoped:
        caption += f" {len(scoped)} more rows about single classes are in comparison.csv."
    table = RichTable(box=box.SIMPLE_HEAD, caption=Text(caption), caption_justify="left")
    table.add_column("Metric")
    table.add_column("Measured by")
    for name in comparison.names:
        table.add_column(Text(printable(name)), justify="right")
    for line in overall:
        arrow = direction(line.higher_is_better)[:1]
        cells = [_rich_cell(line, index) for index in range(len(line.results))]
        table.add_row(Text(f"{full_label(line.name)} {arrow}"), Text(measured_by(line)), *cells)
    return table


def _rich_cell(line: Line, index: int) -> Any:
    from rich.text import Text

    value, interval = show_part(line, index)
    best = index == line.best
    first = f"{value} *" if best else value
    return Text("\n".join(filter(None, (first, interval))), style="bold" if best else "")


def split_lines(comparison: Comparison) -> tuple[list[Line], list[Line]]:
    """Overall lines, and lines about classes or groups."""
    overall = [line for line in comparison.lines if line.scope is None]
    return overall, [line for line in comparison.lines if line.scope is not None]


def measured_by(line: Line) -> str:
    return ", ".join(filter(None, (line.extractor, line.classifier)))


def show_part(line: Line, index: int) -> tuple[str, str]:
    return show(line.results[index], line.name)


def context(comparison: Comparison) -> dict[str, Any]:
    """Everything that comparison.html.j2 shows."""
    overall, scoped = split_lines(comparison)
    return {
        "title": f"{len(comparison.runs)} reports side by side",
        "names": comparison.names,
        "sentences": comparison.sentences,
        "overall": _table(comparison, overall),
        "scoped": _table(comparison, scoped) if scoped else None,
        "plots": [plot for line in overall if (plot := _plot(comparison, line)) is not None],
        "differences": _differences(comparison) if comparison.differences else None,
        "grids": _grids(comparison),
    }


def _table(comparison: Comparison, lines: list[Line]) -> Table:
    columns = [Column(name, "", name) for name in comparison.names]
    rows = []
    for line in lines:
        parts = [scope_text(line.scope), measured_by(line), direction(line.higher_is_better)]
        cells: list[Cell | None] = [
            Cell(*show_part(line, index), strong=index == line.best)
            for index in range(len(line.results))
        ]
        rows.append(Row(full_label(line.name), "\n".join(filter(None, parts)), cells))
    return Table("Results", columns, rows)


def _plot(comparison: Comparison, line: Line) -> DotPlot | None:
    scale = 100 if is_share(line.name) else 1
    marks = []
    for index, (name, result) in enumerate(zip(comparison.names, line.results, strict=True)):
        value, low, high = (
            None if part is None else part * scale
            for part in (result.value, result.ci_low, result.ci_high)
        )
        style = "model" if index == line.best else "other"
        label = name if len(name) <= 18 else f"…{name[-17:]}"
        marks.append(Mark(label, value, low, high, show_part(line, index)[0], style))
    note = f"{measured_by(line)} · {direction(line.higher_is_better)}"
    axis: Literal["linear", "by_span"] = "linear" if line.higher_is_better else "by_span"
    plot = dot_plot(full_label(line.name), note, marks, axis=axis)
    return plot and drawn(plot)[0]


def _differences(comparison: Comparison) -> Table:
    columns = [Column(name, "", name) for name in comparison.names]
    rows = [
        Row(item.key, "", [Cell("–" if v is None else _cut(text_of(v))) for v in item.values])
        for item in comparison.differences
    ]
    return Table("What differs", columns, rows)


def _grids(comparison: Comparison) -> list[tuple[str, list[Figure]]]:
    return [
        (run.name, [embed(f, run.folder) for f in run.report.figures if f.kind == "class_grid"])
        for run in comparison.runs
    ]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
