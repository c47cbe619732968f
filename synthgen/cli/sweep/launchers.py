"""Running jobs of a sweep on Hydra's launchers, so that one that fails, dies or is stopped costs
the others nothing.

Hydra's own loops end at the first job that was killed, and lose what the others did. Here each job
leaves its own record (:mod:`synthgen.cli.sweep.folder`), wherever it runs, and the launcher's
answers are not needed.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from synthgen.cli.sweep.command import UNFINISHED
from synthgen.cli.sweep.folder import JOBS, SweepFolder, SweepJob
from synthgen.errors import TIME_IS_UP, TO_STOP, SynthgenError, listened_to

SUBDIR = "hydra.sweep.subdir"
BASIC, SUBMITIT = "basic_launcher", "hydra_submitit_launcher"
POLL, PATIENCE = 1.0, 35.0  # seconds; SLURM kills 30 s after it has asked
NAMED = 20  # jobs that are named when a sweep begins
log = logging.getLogger(__name__)
Batch = Sequence[tuple[int, Sequence[str]]]  # numbers and overrides


class Jobs:
    """Runs jobs on one launcher of Hydra's, or on ours for Ray."""

    def __init__(self, launcher: Launcher, folder: SweepFolder) -> None:
        self.launcher, self.folder = launcher, folder
        module = type(launcher).__module__
        self.alone = BASIC in module  # jobs run in this very process, one after the other
        self.launch: Callable[[Batch], None] = self._launch
        if SUBMITIT in module:
            self.launch = self._submit
        self.wanted: dict[int, tuple[str, ...]] = {}

    def run(self, batch: Batch) -> list[SweepJob]:
        """Run the jobs; returns how they ended, in their order. One that died has no code."""
        self.wanted |= {number: tuple(overrides) for number, overrides in batch}
        with stopped_in_order(self.folder, alone=self.alone):
            left = [one for one in batch if not self._ended_before(*one)]
            while left and not self.folder.stopping:
                self.launch(left)
                begun = [one for one in left if self.folder.read(one[0]) is not None]
                left = [one for one in left if one not in begun]  # a dead worker takes others along
                if not begun:
                    break
        return [self.outcome(number) for number, _ in batch]

    def _ended_before(self, number: int, overrides: Sequence[str]) -> bool:
        """Whether the job ended in an earlier life of this command. Raises SynthgenError if that
        was another job."""
        found = self.folder.read(number)
        if found is not None and found.overrides != tuple(overrides):
            self.folder.require_new()
        return found is not None and found.code not in UNFINISHED

    def outcome(self, number: int) -> SweepJob:
        found = self.folder.read(number)
        return found or SweepJob(job=number, overrides=self.wanted[number])

    def outcomes(self) -> list[SweepJob]:
        """Of all jobs that were asked for, and of those that another process ran here."""
        there = {one.job: one for one in self.folder.jobs()}
        asked = {number: self.outcome(number) for number in self.wanted}
        return [one for _, one in sorted((there | asked).items())]

    def _launch(self, batch: Batch) -> None:
        overrides = [numbered(number, settings) for number, settings in batch]
        try:
            self.launcher.launch(overrides, initial_job_idx=0)
        except Exception as error:
            if self.alone or not any(self.folder.read(number) for number, _ in batch):
                raise
            log.warning("A worker died: %s", str(error).strip().partition("\n")[0])

    def _submit(self, batch: Batch) -> None:
        submitted = submit(self.launcher, batch)
        for (number, _), job in zip(batch, submitted, strict=True):
            log.info("Job %d is %s; it writes to %s", number, job.job_id, job.paths.stderr)
        self._wait([(number, job) for (number, _), job in zip(batch, submitted, strict=True)])

    def _wait(self, submitted: Sequence[tuple[int, Any]]) -> None:
        deadline = None
        left = list(submitted)
        while left and (deadline is None or time.monotonic() < deadline):
            if self.folder.stopping and deadline is None:
                deadline = time.monotonic() + PATIENCE
                for _, job in left:
                    job.cancel(check=False)
            left = [one for one in left if not self._is_over(*one)]
            time.sleep(POLL if left else 0)

    def _is_over(self, number: int, job: Any) -> bool:
        record = self.folder.read(number)
        return (record is not None and record.code is not None) or job.done()


class Numbered(Launcher):
    """What a sweeper of Hydra's takes for its launcher."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs

    def setup(self, **_: Any) -> None:
        """The launcher inside was set up."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        announce(self.jobs.folder, len(job_overrides))
        ended = self.jobs.run(list(enumerate(job_overrides, initial_job_idx)))
        returned = []
        for one in ended:  # a failed one would end Hydra's loop; its record says that it failed
            answer = JobReturn(overrides=list(one.overrides), status=JobStatus.COMPLETED)
            answer.return_value = one.objective
            returned.append(answer)
        return returned


def numbered(number: int, overrides: Sequence[str]) -> list[str]:
    """``overrides`` for job ``number``, whatever place it has in its launcher's batch."""
    return [*overrides, f"{SUBDIR}={JOBS}/{number}"]


def announce(folder: SweepFolder, count: int) -> None:
    log.info("%d %s, in %s", count, "job" if count == 1 else "jobs", folder.path)


def submit(launcher: Any, batch: Batch) -> list[Any]:
    """Hand jobs to submitit as Hydra's plugin does, and return its handles, which the plugin keeps
    to itself. Raises SynthgenError where there is no SLURM."""
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    cluster = launcher._EXECUTOR
    missing = [one for one in ("sbatch", "srun") if shutil.which(one) is None]
    if cluster == "slurm" and missing:
        raise SynthgenError(
            f"There is no {missing[0]} here, and hydra/launcher=submitit_slurm submits with it.\n"
            "Start this on a machine of the cluster, or use hydra/launcher=joblib."
        )
    settings: Mapping[str, Any] = launcher.params
    common = BaseQueueConf.__dataclass_fields__
    own = {name if name in common else f"{cluster}_{name}": v for name, v in settings.items()}
    first = {name: own.pop(name) for name in (f"{cluster}_max_num_timeout",) if name in own}
    executor = submitit.AutoExecutor(own.pop("submitit_folder"), cluster=cluster, **first)
    executor.update_parameters(**own)
    state = Singleton.get_state()
    rows = [
        (numbered(number, settings_), "hydra.sweep.dir", number, f"job_{number}", state)
        for number, settings_ in batch
    ]
    try:
        return list(executor.map_array(launcher, *zip(*rows, strict=True)))
    except (submitit.core.utils.FailedJobError, OSError) as error:
        raise SynthgenError(f"SLURM refused the jobs: {str(error).strip()}") from None


@contextmanager
def stopped_in_order(folder: SweepFolder, *, alone: bool) -> Iterator[None]:
    """Ctrl-C, SIGTERM, a closed terminal, or a scheduler's word that time is up: no further job
    begins, and what runs on this machine ends by its own handlers, with its state saved. A second
    one ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        folder.stop()
        for name in before:
            signal.signal(name, signal.default_int_handler)
        if alone:
            raise KeyboardInterrupt
        log.warning("Stopping: what runs may end by itself; once more, and it is ended.")
        if number != signal.SIGINT:  # Ctrl-C reaches all processes of a terminal
            for job in folder.jobs():
                if job.runs_here and job.pid not in (None, os.getpid()):
                    os.kill(job.pid or 0, number if number in TIME_IS_UP else signal.SIGINT)

    known = filter(listened_to, (*TO_STOP, *TIME_IS_UP))
    before = {name: signal.signal(name, stop) for name in known}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
