"""``synthgen run``: train, synthesize and evaluate into one folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from synthgen.cli.jobs import evaluate, synthesize, train
from synthgen.cli.resume import resumed
from synthgen.errors import SynthgenError
from synthgen.io import require_absent, sole_writer
from synthgen.synthesis import is_complete
from synthgen.synthesis.plan import checked_quotas
from synthgen.synthesis.room import require_least_room

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.jobs.evaluate import Instruments
    from synthgen.cli.settings import RunSettings
    from synthgen.dataset.formats.images import Format
    from synthgen.synthesis import Plan
    from synthgen.types import LabelledImages

SAMPLER, SET, REPORT = "sampler", "synthetic", "report"
log = logging.getLogger(__name__)


def run(settings: RunSettings, invocation: Invocation) -> Path:
    """Each stage's folder appears in one step, so a folder that is there is complete. What later
    stages need is built, and tried on what the data and the untrained model tell, before training
    starts: a mistake there must not cost a training."""
    if settings.resume is not None:
        settings = resumed(settings, invocation)
    plan, instruments = synthesize.plan_of(settings), evaluate.instruments_of(settings)
    synthesize.check_settings(settings)
    if settings.resume is None:
        out = invocation.folder(settings.out)
        require_absent(out)
    else:
        out = Path(settings.resume)
    with sole_writer(out):
        if settings.resume is None:
            splits = train.prepare_splits(settings)
            _check_plan(plan, splits.train, synthesize.format_of(settings), out)
            evaluate.require_measurable(settings, instruments, splits)
            model = train.build_model(settings, splits)
            synthesize.check_model(settings, model, splits.train)
            train.fit(settings, out, splits, model, verb=invocation.verb)
        else:
            _resume_training(settings, invocation, out)
        try:
            _later_stages(settings, plan, instruments, out)
        except KeyboardInterrupt:
            what = f"Stopped. The stages that were finished are in {out}."
            raise train.stopped(what, invocation.verb, out) from None
    return out


def _later_stages(settings: RunSettings, plan: Plan, instruments: Instruments, out: Path) -> None:
    if not is_complete(out / SET):  # unfinished: its shards are kept
        synthesize.draw(settings, plan, out, out / SET, run=out)
    if not (out / REPORT).is_dir():
        evaluate.report(
            settings,
            instruments,
            out / SET,
            out / REPORT,
            run=out,
            sampler=out / SAMPLER,
            training_log=_training_log(out),
        )


def _check_plan(plan: Plan, real: LabelledImages, form: Format | None, out: Path) -> None:
    """Raises SynthgenError if the plan can't be fulfilled, or not on the disk of ``out``."""
    counts = dict(zip(real.classes, real.counts, strict=True))
    images = sum(checked_quotas(plan, real.classes, counts).values())
    require_least_room(out, images, in_shards=form is not None and form.in_shards)


def _resume_training(settings: RunSettings, invocation: Invocation, out: Path) -> None:
    if not (out / SAMPLER).is_dir():
        splits = train.prepare_splits(settings)
        model = train.build_model(settings, splits)
        train.fit(settings, out, splits, model, verb=invocation.verb, resume=True)
        return
    longer = [one for one in invocation.overrides if one.startswith(("max_images", "max_time"))]
    if longer:
        raise SynthgenError(
            f"{out} has finished training; {' '.join(longer)} would make its set and report stale."
            f"\nTrain on with synthgen train resume={out}, or start a new run."
        )
    log.info("Training is complete.")


def _training_log(out: Path) -> Path | None:
    path = out / "metrics.csv"
    return path if path.is_file() else None
