"""``synthgen data check``: images in, what is wrong with them out, as tables and thumbnails."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from synthgen.cli.assemble import build_source
from synthgen.cli.jobs.train import tell_clipping
from synthgen.data import check, heading, tables, write_check
from synthgen.data.checks.check import CheckResult
from synthgen.data.checks.confident_learning import FEWEST
from synthgen.data.checks.page import PAGE
from synthgen.data.checks.readings import readings_of, write_readings
from synthgen.data.folders.ways import UnclearLayoutError
from synthgen.errors import CheckFailedError, SynthgenError
from synthgen.io import require_absent

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import DataCheckSettings
    from synthgen.data import Source

log = logging.getLogger(__name__)


def unclear(
    source: Source, error: UnclearLayoutError, console: Console, out: Path
) -> SynthgenError:
    """Show each way to read the folders, on a page too; the error itself where none is known."""
    readings = readings_of(source, error)
    if not readings:
        return error
    for reading in readings:
        console.print(f"{reading}\n", markup=False, highlight=False, soft_wrap=True)
    write_readings(source.name, error, readings, out)
    what, _, advice = str(error).partition("\n")
    return CheckFailedError(
        f"Training would refuse this: {what}\n{advice} {out / PAGE} shows each reading."
    )


def run(settings: DataCheckSettings, invocation: Invocation) -> Path:
    out = invocation.folder(settings.out)
    require_absent(out)
    source = build_source(settings.data, settings.allow)
    console = Console(stderr=True)
    try:
        result = check(source, settings.labels)
    except UnclearLayoutError as error:
        raise unclear(source, error, console, out) from error
    _tell(result, settings, console)
    write_check(result, out)
    log.info("The pictures and everything else: %s", out / PAGE)
    _require_accepted(result, settings, out)
    return out


def _tell(result: CheckResult, settings: DataCheckSettings, console: Console) -> None:
    """What was found, in short."""
    console.print(heading(result), markup=False, highlight=False)
    if result.tree is not None:
        console.print(str(result.tree), markup=False, highlight=False, soft_wrap=True)
    for table in tables(result):
        console.print(table)
    for note in result.notes:
        log.info(note)
    if result.labels is not None:
        log.info(result.labels.sentence())
        if left := result.labels.left_out_sentence(len(result.images)):
            log.info(left)
    elif settings.labels is not None:
        log.info("The labels were not doubted: fewer than two classes have %s images.", FEWEST)
    if result.splits is not None:
        tell_clipping(result.splits)


def _require_accepted(result: CheckResult, settings: DataCheckSettings, out: Path) -> None:
    """Raises CheckFailedError if training would refuse the images, or ``fail_on`` asks to fail."""
    if result.refusal is not None:
        what, _, advice = result.refusal.partition("\n")
        raise CheckFailedError(
            f"Training would refuse this: {what}\n{advice} All findings are in {out}.".strip()
        )
    log.info("Training accepts this.")
    unwanted = [kind for kind in settings.fail_on if result.of_kind(kind)]
    if unwanted:
        raise CheckFailedError(
            f"There are findings of the kind {', '.join(unwanted)}, which fail_on asks to fail on."
            f"\nLook at {out / PAGE}."
        )
