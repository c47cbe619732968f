"""Experiments out of W&B's runs, offline or from the service: the reports that were logged, the
curves and previews of the trainings behind them. Which training is behind a report say the
fingerprints, not names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from synthgen.errors import SynthgenError
from synthgen.evaluation.experiments import Experiment, Preview, with_training
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.schema import TrainingLog
from synthgen.tracking.lightning import PICTURE
from synthgen.tracking.lineage import sampler_behind
from synthgen.tracking.metrics_csv import CLOCK
from synthgen.tracking.tracker import JobType

TRAIN: JobType = "train"
EVALUATE: JobType = "evaluate"


class TrackedRun(Protocol):
    """One run of W&B's, wherever it is kept. ``config`` is flat."""

    @property
    def id(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def job_type(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def history(self) -> list[dict[str, Any]]: ...
    def report(self) -> Path | None: ...
    def picture(self, name: str) -> Path | None: ...


def experiments_of(runs: Sequence[TrackedRun], where: str) -> list[Experiment]:
    """One for each run that logged a report, named as its folder was.

    Raises:
        SynthgenError: there is none ``where`` they were looked for, or one is damaged.
    """
    trainings = {
        str(run.config["fingerprints.sampler"]): run
        for run in runs
        if run.job_type == TRAIN and "fingerprints.sampler" in run.config
    }
    found = []
    for run in runs:
        path = run.report() if run.job_type == EVALUATE else None
        if path is not None:
            found.append(_experiment(run, Report.read(path), trainings))
    if not found:
        raise SynthgenError(
            f"No run in {where} has a report that can be read here.\n"
            "Evaluate with logger=wandb; offline runs need the wandb/artifacts/ beside them."
        )
    return found


def _experiment(run: TrackedRun, report: Report, trainings: Mapping[str, TrackedRun]) -> Experiment:
    training = trainings.get(sampler_behind(report) or "")
    name = str(run.config.get("folder") or run.group or run.id)
    if training is None:
        return Experiment(name, run.place, report)
    curves = training_log(training.history)
    previews = previews_of(training)
    return Experiment(name, run.place, with_training(report, curves), previews=previews)


def training_log(history: Sequence[Mapping[str, Any]]) -> TrainingLog | None:
    """Rows of numbers by images seen; None where nothing but pictures was logged."""
    rows: dict[int, dict[str, float]] = {}
    for row in history:
        if not isinstance(moment := row.get(CLOCK), int | float):
            continue
        numbers = {name: value for name, value in row.items() if _is_curve(name, value)}
        if numbers:
            rows.setdefault(int(moment), {}).update(numbers)
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    if not names:
        return None
    columns = [CLOCK, *names]
    filled = [[moment, *(row.get(name) for name in names)] for moment, row in sorted(rows.items())]
    return TrainingLog(columns=columns, rows=filled)


def _is_curve(name: str, value: Any) -> bool:
    if name.startswith(("_", f"{PICTURE}.")) or name == CLOCK or isinstance(value, bool):
        return False
    return isinstance(value, int | float) and math.isfinite(value)


def previews_of(run: TrackedRun) -> tuple[Preview, ...]:
    """In order of images seen; a moment that was trained twice shows what it showed last."""
    found: dict[int, Preview] = {}
    for row in run.history:
        moment, name = row.get(CLOCK), row.get(f"{PICTURE}.path")
        if isinstance(moment, int | float) and isinstance(name, str):
            path = run.picture(name)
            if path is not None:
                found[int(moment)] = Preview(int(moment), path)
    return tuple(found[moment] for moment in sorted(found))
