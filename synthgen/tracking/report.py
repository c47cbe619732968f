"""A comparison as a report in W&B: first as plain data, which need neither account nor network,
then as W&B's own objects, whose making already asks the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from synthgen.errors import SynthgenError, printable
from synthgen.evaluation.experiments import Experiment
from synthgen.evaluation.report.comparison import answers, main_table, settings_tables
from synthgen.evaluation.report.schema import Comparison
from synthgen.evaluation.report.tables import Table
from synthgen.tracking.lightning import PICTURE
from synthgen.tracking.metrics_csv import CLOCK

if TYPE_CHECKING:
    from types import ModuleType

NO_CURVES = {CLOCK, "seconds", "step", "epoch"}
MOST_CURVES = 24


@dataclass(frozen=True)
class Words:
    """A block of Markdown."""

    markdown: str


@dataclass(frozen=True)
class PanelSpec:
    """``lines``: ``keys`` over images seen; ``pictures``: ``keys`` to be scrubbed over time;
    ``bars``: their last values; ``settings``: what differs between the runs."""

    kind: Literal["lines", "pictures", "bars", "settings"]
    title: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panels:
    """Panels about the runs of some stage."""

    runs: str  # as people call them
    filters: str  # in W&B's language
    panels: tuple[PanelSpec, ...]


@dataclass(frozen=True)
class ReportSpec:
    project: str
    entity: str | None  # None: the person's own
    title: str
    description: str
    blocks: tuple[Words | Panels, ...]


def report_spec(
    comparison: Comparison,
    experiments: Sequence[Experiment],
    *,
    project: str,
    entity: str | None = None,
) -> ReportSpec:
    """Answers, tables, curves over images seen, previews and settings. The words and tables say
    what was compared here; the panels show the runs of those names that the project has."""
    chosen = ", ".join(f"'{_in_quotes(name)}'" for name in comparison.names)
    names = f"Config('folder') in [{chosen}]"
    curves = tuple(PanelSpec("lines", name, (name,)) for name in curves_in(experiments))
    pictures = PanelSpec("pictures", "The same latents over time", (PICTURE,))
    blocks: list[Words | Panels] = [
        Words("\n".join(f"- **{a.question}** {a.text}" for a in answers(comparison))),
        Words(markdown_table(main_table(comparison))),
        Words("## What differs"),
        *(Words(markdown_table(table)) for table in settings_tables(comparison)[:1]),
        Words("## Training"),
        Panels("trainings", f"{names} and JobType = 'train'", (*curves, pictures)),
        Words("## Evaluation"),
        Panels(
            "evaluations",
            f"{names} and JobType = 'evaluate'",
            (
                PanelSpec("bars", "The result that decides", ("primary/value",)),
                PanelSpec("settings", "Settings that differ"),
            ),
        ),
        Words("## How to read this\n" + "\n".join(f"- {said}" for said in comparison.sentences)),
    ]
    return ReportSpec(
        project,
        entity,
        title=f"{len(comparison.names)} experiments side by side"[:128],
        description=", ".join(comparison.names)[:500],
        blocks=tuple(blocks),
    )


def curves_in(experiments: Sequence[Experiment]) -> list[str]:
    """What the trainings logged over images seen, the first few."""
    logs = [one.report.curves.training for one in experiments]
    names = dict.fromkeys(name for log in logs if log is not None for name in log.columns)
    return [name for name in names if name not in NO_CURVES][:MOST_CURVES]


def markdown_table(table: Table) -> str:
    head = ["", *(column.label for column in table.columns)]
    rows = [
        [
            f"{row.label} ({row.note})" if row.note else row.label,
            *("–" if cell is None else _cell(cell) for cell in row.cells),
        ]
        for row in table.rows
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)


def _cell(cell: Any) -> str:
    text = f"**{cell.text}** \\*" if cell.strong else cell.text
    return f"{text} ({cell.interval})" if cell.interval else str(text)


def _escaped(text: str) -> str:
    return printable(" ".join(text.split())).replace("|", "\\|")


def _in_quotes(name: str) -> str:
    return name.replace("\\", "\\\\").replace("'", "\\'")


# W&B's own objects.


def publish(spec: ReportSpec) -> str:
    """Save it in W&B, as a draft of the person's; returns its address.

    Raises:
        SynthgenError: wandb-workspaces isn't installed, or W&B refuses.
    """
    try:
        report = build(spec)
        report.save(draft=True)
    except SynthgenError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise SynthgenError(
            f"W&B took no report: {reason}\nThe comparison itself is written; see that you are "
            "logged in (wandb login), and compare again with another out=."
        ) from error
    return str(report.url)


def build(spec: ReportSpec) -> Any:
    """``wandb_workspaces.reports.v2.Report``. Raises SynthgenError if that isn't installed."""
    reports = _package()
    own = {} if spec.entity is None else {"entity": spec.entity}
    blocks = [
        reports.MarkdownBlock(text=block.markdown)
        if isinstance(block, Words)
        else _grid(reports, spec, block)
        for block in spec.blocks
    ]
    return reports.Report(
        project=spec.project, title=spec.title, description=spec.description, blocks=blocks, **own
    )


def _grid(reports: ModuleType, spec: ReportSpec, block: Panels) -> Any:
    own = {} if spec.entity is None else {"entity": spec.entity}
    runs = reports.Runset(project=spec.project, name=block.runs, filters=block.filters, **own)
    return reports.PanelGrid(runsets=[runs], panels=[_panel(reports, one) for one in block.panels])


def _panel(reports: ModuleType, panel: PanelSpec) -> Any:
    keys = list(panel.keys)
    if panel.kind == "lines":
        return reports.LinePlot(title=panel.title, x=CLOCK, y=keys)
    if panel.kind == "pictures":
        return reports.MediaBrowser(title=panel.title, media_keys=keys)
    if panel.kind == "bars":
        return reports.BarPlot(title=panel.title, metrics=keys)
    return reports.RunComparer(diff_only=True)


def require_package() -> None:
    """Raises SynthgenError where reports can't be built, before anything is compared."""
    _package()


def _package() -> ModuleType:
    try:
        from wandb_workspaces.reports import v2
    except ImportError as error:
        raise SynthgenError(
            "report=wandb needs wandb-workspaces.\n"
            "Install it: pip install 'synthgen-images[wandb-report]'"
        ) from error
    module: ModuleType = v2
    return module
