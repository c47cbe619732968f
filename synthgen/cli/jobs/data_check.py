"""``synthgen data check``: images in, what is wrong with them out, as tables and thumbnails."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from synthgen.cli.assemble import build_source
from synthgen.cli.jobs.train import tell_clipping
from synthgen.data import check, heading, tables, write_check
from synthgen.data.checks.confident_learning import FEWEST
from synthgen.data.checks.page import PAGE
from synthgen.errors import CheckFailedError
from synthgen.io import require_absent

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import DataCheckSettings

log = logging.getLogger(__name__)


def run(settings: DataCheckSettings, invocation: Invocation) -> Path:
    out = invocation.folder(settings.out)
    require_absent(out)
    result = check(build_source(settings.data, settings.allow), settings.labels)
    console = Console(stderr=True)
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
    write_check(result, out)
    log.info("The pictures and everything else: %s", out / PAGE)
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
    return out
