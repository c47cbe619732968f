"""``synthgen synthesize``: a sampler and a plan in, a labelled set out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synthgen.cli.assemble import build_instance, stage_tracker
from synthgen.paths import require_absent
from synthgen.synthesis import Plan, synthesize
from synthgen.tracking import log_dataset

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.validate import RunSettings, SynthesizeSettings


def run(settings: SynthesizeSettings, invocation: Invocation) -> Path:
    out = invocation.folder(settings.out)
    require_absent(out)
    return draw(settings, plan_of(settings), Path(settings.sampler), out, run=out)


def plan_of(settings: SynthesizeSettings | RunSettings) -> Plan:
    return build_instance(settings.plan, Plan, key="plan", allow=settings.allow)


def draw(
    settings: SynthesizeSettings | RunSettings, plan: Plan, sampler: Path, out: Path, run: Path
) -> Path:
    """Draw the set ``out``; ``run`` is the folder whose name groups the stages."""
    synthesize(
        sampler,
        plan,
        out,
        seed=settings.seed,
        batch_size=settings.batch_size,
        device=settings.device,
        allow=settings.allow,
    )
    with stage_tracker(settings, out, "synthesize", run) as tracker:
        log_dataset(tracker, out)
    return out
