"""``synthgen compare``: reports in, one table out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from synthgen.cli.assemble import stage_tracker
from synthgen.evaluation.compare import compare, render
from synthgen.io import require_absent
from synthgen.tracking import log_comparison

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import CompareSettings


def run(settings: CompareSettings, invocation: Invocation) -> Path:
    out = invocation.folder(settings.out)
    require_absent(out)
    comparison = compare([Path(folder) for folder in settings.folders], out)
    Console(stderr=True).print(render(comparison))
    with stage_tracker(settings, out, "compare", run=out) as tracker:
        log_comparison(tracker, comparison, out)
    return out
