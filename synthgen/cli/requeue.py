"""Jobs of SLURM: told that time is up, a command saves, asks to be started again, and the job that
is started again goes on where it was."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from synthgen.cli.resume import CONFIG, settings_of
from synthgen.cli.settings import TrainSettings, WritingSettings
from synthgen.errors import TIME_IS_UP, OutOfTimeError, OutOfTimeInterrupt
from synthgen.io import read_json, write_json
from synthgen.launch import current_launch

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation

MARK = ".slurm.json"  # in a run: the job that began it
ANSWERS = 30.0  # seconds that scontrol has
ResumableType = TypeVar("ResumableType", bound=TrainSettings)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A job of SLURM, in its ``restart``-th life after the first."""

    cluster: str
    id: str
    name: str  # as scontrol wants it: of an array, its own part
    restart: int

    def follows(self, mark: Mapping[str, object]) -> bool:
        """Whether this is a later life of the job that left ``mark``."""
        begun = mark.get("restart")
        same = (mark.get("cluster"), mark.get("job")) == (self.cluster, self.id)
        return same and isinstance(begun, int) and self.restart > begun


def current_job(environment: Mapping[str, str]) -> Job | None:
    """What SLURM says of the job that this process belongs to; None outside of SLURM."""
    number = environment.get("SLURM_JOB_ID")
    if not number:
        return None
    array, task = (environment.get(f"SLURM_ARRAY_{key}") for key in ("JOB_ID", "TASK_ID"))
    restart = environment.get("SLURM_RESTART_COUNT", "")
    return Job(
        cluster=environment.get("SLURM_CLUSTER_NAME", ""),
        id=number,
        name=f"{array}_{task}" if array and task else number,
        restart=int(restart) if restart.isdecimal() else 0,
    )


# A run that SLURM began again.


def mark_begun(folder: Path) -> None:
    """Note in the new run ``folder`` which job began it, if one did."""
    if (job := current_job(os.environ)) is not None:
        write_json(folder / MARK, {"cluster": job.cluster, "job": job.id, "restart": job.restart})


def going_on(settings: ResumableType, invocation: Invocation) -> tuple[ResumableType, Invocation]:
    """What to do: as asked, or to resume the run in ``out``, because the same command began it in
    an earlier life of this very job. Any other run stays, and is refused later as one that exists.
    """
    job = current_job(os.environ)
    if settings.resume is not None or settings.out is None or job is None:
        return settings, invocation
    out = invocation.folder(settings.out)
    if not (out / MARK).is_file() or not (out / CONFIG).is_file():
        return settings, invocation
    mark = read_json(out / MARK)
    if not isinstance(mark, dict) or not job.follows(mark) or not settings_of(settings, out):
        return settings, invocation
    log.info("SLURM began job %s again: going on with %s.", job.name, out)
    return (
        dataclasses.replace(settings, resume=str(out)),
        dataclasses.replace(invocation, overrides=()),
    )


# Time is up.


@contextmanager
def begun_again_when_time_is_up(settings: object) -> Iterator[None]:
    """SIGUSR1 and SIGUSR2 end what is done inside, a training once its state is saved. A job of
    SLURM is then queued again, by the first of its processes. Raises OutOfTimeError, which says how
    to go on."""
    with _signals_noticed():
        try:
            yield
        except (OutOfTimeError, OutOfTimeInterrupt) as error:
            what = str(error) or "Time was up. What was not finished was removed."
            if (job := current_job(os.environ)) is not None:
                if current_launch().rank == 0:
                    what = f"{what}\n{_queued_again(job, settings)}"
                else:
                    _await_the_first()
            raise OutOfTimeError(what) from None


def _queued_again(job: Job, settings: object) -> str:
    """Ask SLURM for another life of ``job``; says what became of that."""
    fixed = not isinstance(settings, WritingSettings) or settings.out is not None
    if not fixed and getattr(settings, "resume", None) is None:
        return f"Job {job.name} was not queued again: without out= it would not find its folder."
    ignore_the_end()
    try:
        asked = subprocess.run(
            [shutil.which("scontrol") or "scontrol", "requeue", job.name],
            capture_output=True, text=True, timeout=ANSWERS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"Job {job.name} was not queued again: scontrol can't be run ({error})."
    if asked.returncode:
        reason = " ".join(asked.stderr.split()) or f"scontrol ended with {asked.returncode}"
        return f"Job {job.name} was not queued again: {reason}"
    return f"Job {job.name} is queued again, and goes on where it was."


def _await_the_first() -> None:
    """Until process 0 has asked, and SLURM ends the job: srun may end a step whose first process
    has not asked yet, once another one is gone."""
    told = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: told.set())
    told.wait(ANSWERS)


def ignore_the_end() -> None:
    """Once time is up, SIGTERM (which SLURM sends to a job that it queues again) and further
    signals of that kind are no other reason to stop; SIGKILL follows."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, *TIME_IS_UP):
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def _signals_noticed() -> Iterator[None]:
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        previous = {one: signal.signal(one, _end) for one in TIME_IS_UP}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    ignore_the_end()
    raise OutOfTimeInterrupt
