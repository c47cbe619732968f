"""The folder of a sweep: what each job leaves there, whatever process or machine it ran on, and the
table that is made of it.

``OUT/.sweep/jobs/N/job.json`` is written when job N begins and again when it ends, so a job that
was killed is one that began and never ended. ``OUT/sweep.json`` and ``OUT/sweep.csv`` are written
when the sweep is over.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from synthgen.cli.sweep.command import STATE
from synthgen.errors import SynthgenError, plain_cell
from synthgen.io import read_json, readable_os_errors, write_json, write_text
from synthgen.schema import Document, Schema

JOBS, STOP = "jobs", "stop"
JOB, TABLE, CSV = "job.json", "sweep.json", "sweep.csv"
DIED = 1  # code of a job that began and never said how it ended


class SweepJob(Schema):
    """A job of a sweep.

    Attributes:
        overrides: settings as given, without those of Hydra's own.
        folder: what it wrote, None for nothing.
        code: exit code; None: it has not ended, or never said how.
        objective: the result that ``objective=`` names.
        seconds: of wall-clock time.
        said: why it failed.
        host: the machine that it ran on.
        pid: its process there.
    """

    job: int
    overrides: tuple[str, ...]
    folder: str | None = None
    code: int | None = None
    objective: float | None = None
    higher_is_better: bool | None = None
    seconds: float | None = None
    said: str | None = None
    host: str | None = None
    pid: int | None = None

    @property
    def runs_here(self) -> bool:
        """Whether it is at work, in a process of this machine."""
        return self.code is None and self.host == socket.gethostname() and is_alive(self.pid)


class SweepTable(Document):
    """``sweep.json``: all jobs, by number."""

    FORM: ClassVar[str] = "synthgen-sweep/1"
    ADVICE: ClassVar[str] = "Run the sweep again."
    format: Literal["synthgen-sweep/1"] = "synthgen-sweep/1"
    verb: str
    jobs: tuple[SweepJob, ...]


def is_alive(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    stat = Path(f"/proc/{pid}/stat")  # of Linux: what nobody reaped is there, and dead
    state = stat.read_text("utf-8", "replace").rpartition(")")[2] if stat.is_file() else ""
    return pid is not None and not state.startswith(" Z")


@dataclass(frozen=True)
class SweepFolder:
    """``path`` is ``out`` of the sweep."""

    path: Path

    @property
    def state(self) -> Path:
        return self.path / STATE

    @property
    def began(self) -> bool:
        """Whether a sweep was begun here."""
        return (self.state / JOBS).is_dir()

    def require_new(self) -> None:
        if self.began:
            raise SynthgenError(
                f"{self.path} holds a sweep already and was left as it is.\n"
                "Choose another out=, or remove it yourself first."
            )

    def remove_unused(self) -> None:
        """Where no job began, the sweep leaves nothing but what a scheduler says of that."""
        submitted = any(self.state.glob(".submitit/*/*_submitted.pkl"))
        if not self.began and not submitted:
            shutil.rmtree(self.state, ignore_errors=True)
            if self.path.is_dir() and not any(self.path.iterdir()):
                self.path.rmdir()

    def begin(self, job: int, overrides: Sequence[str]) -> None:
        """Job ``job`` begins in this process."""
        self._write(
            SweepJob(
                job=job, overrides=tuple(overrides), host=socket.gethostname(), pid=os.getpid()
            )
        )

    def end(self, job: SweepJob) -> None:
        self._write(job)

    def read(self, job: int) -> SweepJob | None:
        path = self._place(job)
        return SweepJob.from_json(read_json(path), str(path)) if path.is_file() else None

    def jobs(self) -> list[SweepJob]:
        """All that began, by number."""
        names = [one.name for one in (self.state / JOBS).glob("*") if one.name.isdecimal()]
        found = (self.read(number) for number in sorted(map(int, names)))
        return [one for one in found if one is not None]

    @property
    def stopping(self) -> bool:
        return (self.state / STOP).exists()

    def stop(self) -> None:
        """No further job begins, on whatever machine."""
        (self.state / STOP).touch()

    def go_on(self) -> None:
        (self.state / STOP).unlink(missing_ok=True)

    def write_table(self, verb: str, jobs: Sequence[SweepJob]) -> None:
        with readable_os_errors(self.path):
            table = SweepTable(format="synthgen-sweep/1", verb=verb, jobs=tuple(jobs))
            write_json(self.path / TABLE, table.to_json())
            write_text(self.path / CSV, as_csv(jobs))

    def _place(self, job: int) -> Path:
        return self.state / JOBS / str(job) / JOB

    def _write(self, job: SweepJob) -> None:
        path = self._place(job.job)
        with readable_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, job.to_json())


def best_first(jobs: Iterable[SweepJob]) -> list[SweepJob]:
    """Those with an objective, best first, then the others by number."""

    def rank(job: SweepJob) -> tuple[bool, float, int]:
        value = job.objective
        if value is None:
            return (True, 0.0, job.job)
        return (False, -value if job.higher_is_better else value, job.job)

    return sorted(jobs, key=rank)


def swept(jobs: Sequence[SweepJob]) -> dict[int, dict[str, str]]:
    """job -> the settings in which it differs from another, by key."""
    given = {one.job: dict(_split(text) for text in one.overrides) for one in jobs}
    keys = list(dict.fromkeys(key for row in given.values() for key in row))
    differ = [key for key in keys if len({row.get(key) for row in given.values()}) > 1]
    shown = differ or [key for key in keys if key not in ("out", "objective")]
    return {job: {key: row.get(key, "") for key in shown} for job, row in given.items()}


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key, value


def as_rows(jobs: Sequence[SweepJob]) -> tuple[list[str], list[list[object]]]:
    """Names of the columns, and a row per job, best first."""
    settings = swept(jobs)
    keys: Mapping[str, str] = next(iter(settings.values()), {})
    columns = ["job", *keys, "objective", "code", "seconds", "folder"]
    return columns, [
        [
            one.job,
            *settings[one.job].values(),
            one.objective,
            one.code,
            None if one.seconds is None else round(one.seconds, 1),
            one.folder,
        ]
        for one in best_first(jobs)
    ]


def as_csv(jobs: Sequence[SweepJob]) -> str:
    columns, rows = as_rows(jobs)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([plain_cell(name) for name in columns])
    writer.writerows([[plain_cell(cell) for cell in row] for row in rows])
    return text.getvalue()


def as_text(jobs: Sequence[SweepJob]) -> str:
    """The table for a terminal, without columns that say nothing."""
    columns, rows = as_rows(jobs)
    cells = [columns, *([_shown(cell) for cell in row] for row in rows)]
    kept = [at for at in range(len(columns)) if any(row[at] for row in cells[1:])]
    widths = {at: max(len(row[at]) for row in cells) for at in kept}
    return "\n".join("  ".join(row[at].ljust(widths[at]) for at in kept).rstrip() for row in cells)


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)
