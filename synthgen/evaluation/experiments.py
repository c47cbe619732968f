"""What is compared: reports, each with the name that it has in tables, and what lies beside it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from synthgen.errors import SynthgenError
from synthgen.evaluation.provenance import training_curves
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.schema import TrainingLog

log = logging.getLogger(__name__)

METRICS, PREVIEWS = "metrics.csv", "samples"  # of a run


@dataclass(frozen=True)
class Preview:
    """A grid of the same latents that a training drew after ``images_seen`` images."""

    images_seen: int
    path: Path


@dataclass(frozen=True)
class Experiment:
    """A report, wherever it comes from. ``folder`` holds its figures; None: they are not here."""

    name: str
    place: str
    report: Report
    folder: Path | None = None
    previews: tuple[Preview, ...] = ()


def with_training(report: Report, training: TrainingLog | None) -> Report:
    """The report with the curves of the training, if it hasn't its own."""
    if report.curves.training is not None or training is None:
        return report
    curves = report.curves.model_copy(update={"training": training})
    return report.model_copy(update={"curves": curves})


def experiments_in(folders: Sequence[Path]) -> list[Experiment]:
    """The reports in ``folders``: report folders, run folders with ``report/`` in them, or folders
    of a sweep that hold such runs.

    Raises:
        SynthgenError: there is no report in one of them.
    """
    runs = [run for folder in folders for run in runs_in(Path(folder))]
    names = labels(runs)
    return [read_experiment(name, run) for name, run in zip(names, runs, strict=True)]


def read_experiment(name: str, run: Path) -> Experiment:
    place = report_folder(run)
    report = Report.read(place / "report.json")
    of_run = place.absolute().parent
    log_file = of_run / METRICS
    curves = training_curves(log_file) if log_file.is_file() else None
    return Experiment(
        name, str(place), with_training(report, curves), place, previews_in(of_run / PREVIEWS)
    )


def runs_in(folder: Path) -> list[Path]:
    """``folder``, or the runs of the sweep that it holds, in order. Runs of it that have no report
    are told."""
    if has_report(folder) or not folder.is_dir():
        return [folder]
    found = [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]
    found.sort(key=lambda one: [int(t) if t.isdecimal() else t for t in parts_of(one.name)])
    reported = [one for one in found if has_report(one)]
    missing = [one.name for one in found if (one / "config.yaml").is_file() and one not in reported]
    if reported and missing:
        log.info("Without a report, so not compared: %s of %s.", ", ".join(missing), folder)
    return reported or [folder]


def parts_of(name: str) -> list[str]:
    """Text and numbers in turn, text first, so that 10 comes after 9."""
    return re.split(r"(\d+)", name)


def has_report(folder: Path) -> bool:
    return any((place / "report.json").is_file() for place in (folder, folder / "report"))


def report_folder(folder: Path) -> Path:
    """``folder`` itself or its ``report/``, whichever holds a report.json."""
    for place in (Path(folder), Path(folder) / "report"):
        if (place / "report.json").is_file():
            return place
    raise SynthgenError(
        f"There is no report in {folder} (looked for report.json and report/report.json).\n"
        "Make one: synthgen evaluate data=… synthetic=… out=…"
    )


def previews_in(folder: Path) -> tuple[Preview, ...]:
    """The previews that a training left, in order."""
    found = [Preview(int(p.stem), p) for p in folder.glob("*.png") if p.stem.isdecimal()]
    return tuple(sorted(found, key=lambda one: one.images_seen))


def labels(folders: Sequence[Path]) -> list[str]:
    """Short distinct names: the folder's, with as many parents as it takes to tell them apart."""
    parts = [folder.absolute().parts for folder in folders]
    parts = [part[:-1] if part[-1] == "report" and len(part) > 2 else part for part in parts]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{number}: {'/'.join(part[-1:])}" for number, part in enumerate(parts, 1)]


def distinct(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The same with names that differ, whatever they come from."""
    seen: dict[str, int] = {}
    named = []
    for one in experiments:
        seen[one.name] = number = seen.get(one.name, 0) + 1
        named.append(one if number == 1 else replace(one, name=f"{one.name} ({number})"))
    return named
