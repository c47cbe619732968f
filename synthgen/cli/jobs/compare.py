"""``synthgen compare``: reports in, four answers and a table out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from synthgen.cli.assemble import stage_tracker
from synthgen.errors import printable
from synthgen.evaluation.compare import compare_experiments
from synthgen.evaluation.experiments import Experiment, experiments_in
from synthgen.evaluation.report.comparison import (
    ACCURACY,
    DIFFERENCE,
    DISTANCE,
    IMAGES_SEEN,
    MAIN,
    SECONDS,
    answers,
    main_table,
    short,
)
from synthgen.evaluation.report.schema import Comparison
from synthgen.evaluation.report.tables import Cell
from synthgen.io import require_absent
from synthgen.tracking import log_comparison
from synthgen.tracking.experiments import experiments_of
from synthgen.tracking.records import holds_offline_runs, offline_runs
from synthgen.tracking.remote import RunsAddress, downloaded_runs, is_address, open_client
from synthgen.tracking.report import ReportSpec, publish, report_spec, require_package

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import CompareSettings


log = logging.getLogger(__name__)

NARROW = 4  # runs that a terminal has room for with intervals
SHORT = {
    ACCURACY.format("synthetic_only"): "alone",
    ACCURACY.format("real_and_synthetic"): "both",
    DIFFERENCE: "gain",
    DISTANCE: "Fréchet",
    IMAGES_SEEN: "images seen",
    SECONDS: "time",
}  # lines that a terminal shows of many runs


def run(settings: CompareSettings, invocation: Invocation) -> Path:
    out = invocation.folder(settings.out)
    require_absent(out)
    entity = own_entity() if settings.report == "wandb" else None
    with ExitStack() as stack:
        experiments = gathered(settings.folders, stack)
        comparison = compare_experiments(experiments, out)
        Console(stderr=True).print(render(comparison))
        with stage_tracker(settings, out, "compare", run=out) as tracker:
            log_comparison(tracker, comparison, out, experiments)
        if settings.report == "wandb":
            spec = _spec(settings, comparison, experiments, entity)
            log.info("The report in W&B: %s", publish(spec))
    return out


def own_entity() -> str | None:
    """Whose the reports in W&B are. Raises SynthgenError where none can be built, before anything
    is written."""
    require_package()
    return open_client().default_entity


def _spec(
    settings: CompareSettings,
    comparison: Comparison,
    experiments: Sequence[Experiment],
    entity: str | None,
) -> ReportSpec:
    """For the project that the runs come from; for that of the settings if they come from here."""
    first = next((RunsAddress.of(one) for one in settings.folders if is_address(one)), None)
    project = str(settings.logger.get("project")) if first is None else first.project
    entity = entity if first is None else first.entity
    return report_spec(comparison, experiments, project=project, entity=entity)


def gathered(places: Sequence[str], stack: ExitStack) -> list[Experiment]:
    """What is to be compared: folders of reports, runs and sweeps, W&B's offline runs, and runs of
    its service. ``stack`` removes what is downloaded.

    Raises:
        SynthgenError: a place holds no report, or W&B doesn't give it.
    """
    addresses = [one for one in places if is_address(one)]
    for address in addresses:
        RunsAddress.of(address)  # raises, before the rest is read
    folders = [Path(one) for one in places if one not in addresses]
    offline = [one for one in folders if holds_offline_runs(one)]
    found = experiments_in([one for one in folders if one not in offline])
    if offline:
        found += experiments_of(offline_runs(offline), ", ".join(map(str, offline)))
    for address in addresses:
        runs = stack.enter_context(downloaded_runs(address, open_client()))
        found += experiments_of(runs, address)
    return found


def render(comparison: Comparison) -> Group:
    """The answers and the lines that matter; all others are in the files."""
    said = [f"{one.question} {one.sign} {one.text}" for one in answers(comparison)]
    said = [printable(" ".join(one.split())) for one in said]
    scoped = sum(one.scope is not None for one in comparison.results)
    more = f"All {len(comparison.results):,} lines, {scoped:,} of them about single classes, are in"
    ending = f"* better than all others beyond the intervals. {more} comparison.csv."
    return Group(*map(Text, said), terminal_table(comparison), Text(ending))


def terminal_table(comparison: Comparison) -> Table:
    """Lines across runs; with many runs, runs across the few shortest lines, without intervals."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    rows = main_table(comparison).rows
    if len(comparison.names) > NARROW:
        shown = {MAIN[name]: label for name, label in SHORT.items()}
        rows = [row for row in rows if row.label in shown]
        for row in rows:
            table.add_column(shown[row.label], justify="right")
        for index, name in enumerate(comparison.names):
            found = [terminal_cell(row.cells[index], 1) for row in rows]
            table.add_row(Text(short(printable(name))), *found)
        return table
    for name in comparison.names:
        table.add_column(Text(printable(name)), justify="right")
    for row in rows:
        label = Text("\n".join(filter(None, (row.label, row.note))))
        table.add_row(label, *(terminal_cell(one, 2) for one in row.cells))
    return table


def terminal_cell(found: Cell | None, lines: int) -> Text:
    if found is None:
        return Text("–")
    value = f"{found.text} *" if found.strong else found.text
    texts = [value, *found.interval.split("\n")][:lines]
    return Text("\n".join(filter(None, texts)), style="bold" if found.strong else "")
