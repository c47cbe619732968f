"""Reports side by side: read, refused where they can't be compared, shown on a terminal, in CSV
and JSON, and as a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from synthgen.errors import SynthgenError, plain_cell, printable
from synthgen.evaluation.report.blocks import Figure, embed, text_of
from synthgen.evaluation.report.charts import DotPlot, Mark, dot_plot, drawn
from synthgen.evaluation.report.formatting import (
    direction,
    full_label,
    is_share,
    reference_split,
    show,
)
from synthgen.evaluation.report.page import environment
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.report.tables import Cell, Column, Row, Table
from synthgen.evaluation.report.verdict import verdict_text
from synthgen.evaluation.schema import Interval, Result
from synthgen.io import new_folder, write_json, write_text
from synthgen.masking import flatten, masked

if TYPE_CHECKING:
    from rich.table import Table as RichTable


# The comparison as data: shared results in rows, runs in columns.

Identity = tuple[str, str | None, str | None, str]


@dataclass(frozen=True)
class Run:
    """One report with the label that it has in tables."""

    name: str
    folder: Path
    report: Report


@dataclass(frozen=True)
class Line:
    """One result of every run. ``best`` is the position of the run that is better than all others
    beyond the intervals, or None."""

    name: str
    extractor: str | None
    classifier: str | None
    scope: dict[str, str] | None
    higher_is_better: bool
    results: list[Result]  # one of each run
    best: int | None

    @property
    def label(self) -> str | None:
        return next((result.label for result in self.results if result.label), None)


@dataclass(frozen=True)
class Difference:
    """A setting that is not the same everywhere; None where a run doesn't have it."""

    key: str
    values: list[Any]


@dataclass(frozen=True)
class Comparison:
    runs: list[Run]
    lines: list[Line]
    differences: list[Difference]
    sentences: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [run.name for run in self.runs]

    def columns(self) -> list[str]:
        """The header of :meth:`records`: four columns of identity, then four for every run."""
        per_run = [f"{name} {part}" for name in self.names for part in PARTS]
        return ["name", "extractor", "classifier", "scope", "higher_is_better", *per_run, "best"]

    def records(self) -> list[list[Any]]:
        """The lines as flat rows for CSV and tables; ``best`` is a run's name or None."""
        return [
            [
                line.name,
                line.extractor,
                line.classifier,
                scope_text(line.scope),
                line.higher_is_better,
                *(getattr(result, part) for result in line.results for part in PARTS),
                None if line.best is None else self.names[line.best],
            ]
            for line in self.lines
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": "synthgen-comparison/1",
            "runs": [{"name": run.name, "folder": str(run.folder)} for run in self.runs],
            "results": [
                {
                    "name": line.name,
                    "extractor": line.extractor,
                    "classifier": line.classifier,
                    "scope": line.scope,
                    "higher_is_better": line.higher_is_better,
                    "values": {
                        name: {part: getattr(result, part) for part in PARTS}
                        for name, result in zip(self.names, line.results, strict=True)
                    },
                    "best": None if line.best is None else self.names[line.best],
                }
                for line in self.lines
            ],
            "differences": [
                {"key": item.key, "values": dict(zip(self.names, item.values, strict=True))}
                for item in self.differences
            ],
            "sentences": self.sentences,
        }


PARTS = ("value", "ci_low", "ci_high", "n_fake")


def scope_text(scope: dict[str, str] | None) -> str:
    return "" if not scope else ", ".join(f"{key}: {value}" for key, value in scope.items())


def identity(result: Result) -> Identity:
    """What makes two results the same measurement."""
    return result.name, result.extractor, result.classifier, scope_text(result.scope)


def shared_lines(runs: Sequence[Run]) -> list[Line]:
    """Results that every run has, overall ones before classes, in the first report's order."""
    found = [{identity(result): result for result in run.report.results} for run in runs]
    keys = [key for key in found[0] if all(key in other for other in found[1:])]
    keys.sort(key=lambda key: key[3] != "")  # stable
    lines = []
    for key in keys:
        results = [results_of_run[key] for results_of_run in found]
        scope, higher = results[0].scope, results[0].higher_is_better
        lines.append(Line(*key[:3], scope, higher, results, clear_best(results, higher)))
    return lines


def clear_best(results: Sequence[Interval], higher_is_better: bool) -> int | None:
    """The position of the best value if its interval overlaps with no other; None when a value or
    an interval is missing, or intervals overlap."""
    sign = 1 if higher_is_better else -1
    ends = [ends_of(result, sign) for result in results]
    known = [one for one in ends if one is not None]
    if len(known) < max(2, len(ends)):
        return None
    best = max(range(len(known)), key=lambda index: known[index][1])
    others = [far for index, (_, _, far) in enumerate(known) if index != best]
    return best if all(known[best][0] > far for far in others) else None


def ends_of(result: Interval, sign: int) -> tuple[float, float, float] | None:
    """The worse end, the value and the better end of an interval, all times ``sign``."""
    value, low, high = result.value, result.ci_low, result.ci_high
    if value is None or low is None or high is None:
        return None
    near, far = (low, high) if sign > 0 else (high, low)
    return sign * near, sign * value, sign * far


def differing_settings(runs: Sequence[Run]) -> list[Difference]:
    """Flattened settings that are not equal in all reports; secrets are masked first."""
    settings = [flatten(masked(settings_of(run.report))) for run in runs]
    keys = dict.fromkeys(key for flat in settings for key in flat)
    rows = [Difference(key, [flat.get(key) for flat in settings]) for key in keys]
    return [row for row in rows if any(value != row.values[0] for value in row.values)]


def settings_of(report: Report) -> dict[str, Any]:
    """Everything that was chosen for a run: how its set was made, and how it was evaluated."""
    whole = report.to_json()
    provenance = whole["provenance"]
    made = dict(provenance["synthetic"]["dataset"] or {})
    for derived in ("created", "seconds", "execution", "classes", "files", "sha256"):
        made.pop(derived, None)
    return {
        "set": made,
        "evaluate": provenance["config"] or {},
        "protocol": whole["protocol"],
        "versions": provenance["versions"],
    }


MAX_TEXT = 120  # characters of a setting's value on the page


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """``comparison.json``, ``comparison.csv`` and ``comparison.html`` in ``folder``."""
    write_json(folder / "comparison.json", comparison.to_json())
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in (comparison.columns(), *comparison.records()):
        writer.writerow(map(plain_cell, row))
    write_text(folder / "comparison.csv", buffer.getvalue())
    template = environment().get_template("comparison.html.j2")
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
        table.add_row(Text(f"{full_label(line)} {arrow}"), Text(measured_by(line)), *cells)
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
        rows.append(Row(full_label(line), "\n".join(filter(None, parts)), cells))
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
    plot = dot_plot(full_label(line), note, marks, axis=axis)
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


# Read reports, refuse what can't be compared, write the comparison.

BEST_SENTENCE = (
    "A value is marked as best (*) only where its interval overlaps with no other run's interval; "
    "where nothing is marked, no run is surely the best."
)


def compare(folders: Sequence[Path], out: Path) -> Comparison:
    """Put the reports in ``folders`` (report folders, or run folders with ``report/`` in them)
    side by side and write ``out/comparison.{json,csv,html}``.

    Raises SynthgenError for fewer than two folders, a folder without a report, different splits
    or reference splits, different extractors of one kind, or nothing shared.
    """
    if len(folders) < 2:
        raise SynthgenError(
            f"Comparing needs at least two reports, got {len(folders)}.\n"
            "Name their folders: synthgen compare DIR DIR"
        )
    places = [report_folder(folder) for folder in folders]
    names = labels([Path(folder) for folder in folders])
    runs = [
        Run(name, place, Report.read(place / "report.json"))
        for name, place in zip(names, places, strict=True)
    ]
    require_same_split(runs)
    require_same_extractors(runs)
    lines = shared_lines(runs)
    if not lines:
        raise SynthgenError(
            "These reports have no result in common (name, extractor, classifier and scope).\n"
            "Evaluate them again with the same extractors and judge."
        )
    comparison = Comparison(runs, lines, differing_settings(runs), sentences(runs))
    with new_folder(Path(out)) as staging:
        write_comparison(comparison, staging)
    return comparison


def report_folder(folder: Path) -> Path:
    """``folder`` itself or its ``report/``, whichever holds a report.json."""
    for place in (Path(folder), Path(folder) / "report"):
        if (place / "report.json").is_file():
            return place
    raise SynthgenError(
        f"There is no report in {folder} (looked for report.json and report/report.json).\n"
        "Make one: synthgen evaluate data=… synthetic=… out=…"
    )


def require_same_split(runs: Sequence[Run]) -> None:
    """Numbers from different real images are different measurements."""
    for what, of in (
        ("splits of the data", lambda run: run.report.provenance.data.digest),
        ("reference splits", lambda run: reference_split(run.report)),
    ):
        first = of(runs[0])
        for run in runs[1:]:
            if of(run) != first:
                raise SynthgenError(
                    f"{runs[0].name} and {run.name} were tested on different {what} "
                    f"({_short(first)} and {_short(of(run))}).\n"
                    "Evaluate both with the same data and split settings."
                )


def require_same_extractors(runs: Sequence[Run]) -> None:
    """A distance in one network's features says nothing about a distance in another's. Extractors
    of one kind (the part of the name before the weights' hash) must have the same weights."""
    first = _extractors(runs[0])
    for run in runs[1:]:
        own = _extractors(run)
        for kind in first.keys() & own.keys():
            if first[kind] != own[kind]:
                raise SynthgenError(
                    f"{runs[0].name} and {run.name} were seen by different {kind} networks "
                    f"({', '.join(sorted(first[kind]))} and {', '.join(sorted(own[kind]))}).\n"
                    "Evaluate both with the same extractor: same data, split, seed and settings."
                )


def labels(folders: Sequence[Path]) -> list[str]:
    """Short distinct names: the folder's, with as many parents as it takes to tell them apart."""
    parts = [folder.absolute().parts for folder in folders]
    parts = [part[:-1] if part[-1] == "report" and len(part) > 2 else part for part in parts]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{number}: {'/'.join(part[-1:])}" for number, part in enumerate(parts, 1)]


def sentences(runs: Sequence[Run]) -> list[str]:
    """What to keep in mind while reading the table."""
    said = [BEST_SENTENCE]
    if (reference := reference_split(runs[0].report)) != "test":
        said.append(
            f"These reports are for choosing: their reference is the {reference} split. The final "
            "report of what is chosen uses reference=test."
        )
    judges = [run.report.protocol.judge for run in runs]
    if any(judge != judges[0] for judge in judges):
        said.append(
            "The judges were trained with different settings (see the differences), so the "
            "transfer results of these runs are not the same test."
        )
    return said + verdicts(runs)


def verdicts(runs: Sequence[Run]) -> list[str]:
    """What the trials said, if any report has one: the first two sentences of each."""
    found = [run.report.verdict for run in runs]
    if all(verdict is None for verdict in found):
        return []
    return [
        f"Verdict of {run.name}: {'. '.join(verdict_text(verdict).split('. ')[:2]).rstrip('.')}."
        for run, verdict in zip(runs, found, strict=True)
    ]


def _extractors(run: Run) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {}
    for name in {result.extractor for result in run.report.results if result.extractor}:
        kinds.setdefault(name.split("-")[0], set()).add(name)
    return kinds


def _short(text: str) -> str:
    return f"{text[:12]}…" if len(text) > 16 else text
