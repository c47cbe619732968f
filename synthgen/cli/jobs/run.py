"""``synthgen run``: train, synthesize and evaluate into one folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from synthgen.cli.jobs import evaluate, synthesize, train
from synthgen.cli.requeue import going_on
from synthgen.cli.resume import resumed
from synthgen.errors import SynthgenError, stopped
from synthgen.synthesis import is_complete
from synthgen.synthesis.plan import checked_quotas
from synthgen.synthesis.room import require_least_room

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.jobs.evaluate import Instruments
    from synthgen.cli.settings import RunSettings
    from synthgen.dataset.formats.images import Format
    from synthgen.processes import Processes
    from synthgen.synthesis import Plan
    from synthgen.types import LabelledImages

SAMPLER, SET, REPORT = "sampler", "synthetic", "report"
log = logging.getLogger(__name__)


def run(settings: RunSettings, invocation: Invocation) -> Path:
    """Each stage's folder appears in one step, so a folder that is there is complete. What later
    stages need is built, and tried on what the data and the untrained model tell, before training
    starts: a mistake there must not cost a training."""
    train.require_resuming(settings)
    settings, invocation = going_on(settings, invocation)
    if settings.resume is not None:
        settings = resumed(settings, invocation)
    plan, instruments = synthesize.plan_of(settings), evaluate.instruments_of(settings)
    synthesize.check_settings(settings)
    with train.started_processes(settings) as processes:
        out = train.place(settings, invocation, processes)
        with train.claimed(out, processes):
            if settings.resume is None:
                _train(settings, invocation, out, plan, instruments, processes)
            else:
                _resume_training(settings, invocation, out, processes)
            try:
                _later_stages(settings, plan, instruments, out, processes)
            except KeyboardInterrupt as error:
                what = f"Stopped. The stages that were finished are in {out}."
                message = f"{what}\n{train.way_on(invocation.verb, out)}"
                raise stopped(error, message) from None
    return out


def _train(
    settings: RunSettings,
    invocation: Invocation,
    out: Path,
    plan: Plan,
    instruments: Instruments,
    processes: Processes,
) -> None:
    splits = train.splits_of_all(settings, processes)
    if processes.is_first:
        _check_plan(plan, splits.train, synthesize.format_of(settings), out)
        evaluate.require_measurable(settings, instruments, splits)
    model = train.build_model(settings, splits)
    if processes.is_first:
        synthesize.check_model(settings, model, splits.train)
    train.fit(settings, out, splits, model, processes, verb=invocation.verb)


def _later_stages(
    settings: RunSettings,
    plan: Plan,
    instruments: Instruments,
    out: Path,
    processes: Processes,
) -> None:
    """The set is drawn by all processes, each its shards; the report is process 0's."""
    # The sampler is there once process 0 comes to this line.
    complete = processes.first_says(is_complete(out / SET))
    if not complete:  # unfinished: its shards are kept
        synthesize.draw(settings, plan, out, out / SET, run=out)
    if processes.is_first and not (out / REPORT).is_dir():
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


def _resume_training(
    settings: RunSettings, invocation: Invocation, out: Path, processes: Processes
) -> None:
    if not processes.first_says((out / SAMPLER).is_dir()):
        splits = train.splits_of_all(settings, processes)
        model = train.build_model(settings, splits)
        train.fit(settings, out, splits, model, processes, verb=invocation.verb, resume=True)
        return
    longer = [
        one for one in invocation.overrides if one.startswith(("max_images", "max_time", "ckpt"))
    ]
    if longer:
        raise SynthgenError(
            f"{out} has finished training; {' '.join(longer)} would make its set and report stale."
            f"\nTrain on with synthgen train resume={out}, or start a new run."
        )
    log.info("Training is complete.")


def _training_log(out: Path) -> Path | None:
    path = out / "metrics.csv"
    return path if path.is_file() else None
