"""``-m``: choose sweeper and launcher, run the jobs, and say what became of them."""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from synthgen.cli.requeue import current_job
from synthgen.cli.sweep.command import INTERRUPTED, UNFINISHED, JobFailedError, shown, this_job
from synthgen.cli.sweep.folder import DIED, SweepFolder, SweepJob, as_text
from synthgen.cli.sweep.launchers import SUBMITIT, Jobs, Numbered
from synthgen.errors import OUT_OF_TIME, printable
from synthgen.launch import current_launch

if TYPE_CHECKING:
    from synthgen.cli.application import JobDone

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
Task = Callable[[DictConfig], Any]
log = logging.getLogger(__name__)


def sweep_job(run: Callable[[SweepJob | None], JobDone], overrides: Sequence[str]) -> float | None:
    """Do a job of a sweep in this process and leave a record of it; returns the objective for
    Hydra's sweepers. Raises JobFailedError."""
    place, number = this_job()
    sweep = SweepFolder(place)
    if sweep.stopping:
        raise JobFailedError(INTERRUPTED)
    begun = time.monotonic()
    before = sweep.read(number)
    if before is not None and before.code not in UNFINISHED:
        before = None
    if current_launch().rank:
        return run(before).objective
    sweep.begin(number, overrides)
    done = run(before)
    record = sweep.read(number)
    assert record is not None  # this process wrote it
    found = {
        "code": done.code,
        "folder": None if done.folder is None else str(done.folder),
        "objective": done.objective,
        "higher_is_better": done.higher_is_better,
        "seconds": time.monotonic() - begun,
        "said": done.said,
    }
    if done.code == OUT_OF_TIME and is_slurms_own():  # it is queued again, and ends in another life
        sweep.end(record.model_copy(update={"said": done.said}))
        raise SystemExit(OUT_OF_TIME)  # submitit takes whatever else ends here for the result
    sweep.end(record.model_copy(update=found))
    if done.code == OUT_OF_TIME or (done.code == INTERRUPTED and is_in_commands_process()):
        sweep.stop()  # meant for all of them: a training that notices signals keeps them to itself
    if done.code:
        raise JobFailedError(done.code)
    return done.objective


def is_slurms_own() -> bool:
    """Whether this job of a sweep is one of SLURM's, too."""
    return SUBMITIT in _launcher() and current_job(os.environ) is not None


def is_in_commands_process() -> bool:
    """Whether this job of a sweep is done by the command's own process, which gets its signals."""
    return _launcher() == BASIC


def _launcher() -> str:
    return str(HydraConfig.get().launcher.get("_target_"))


def multirun(hydra: Hydra, config_name: str, overrides: list[str], task: Task) -> None:
    """Run all jobs, print the folders that they wrote and, on stderr, a table. Raises
    JobFailedError if one failed."""
    config = hydra.compose_config(
        config_name, overrides, with_log_configuration=True, run_mode=RunMode.MULTIRUN
    )
    folder = SweepFolder(shown(Path(str(config.hydra.sweep.dir)).parent))
    callbacks = Callbacks(config)
    context = HydraContext(config_loader=hydra.config_loader, callbacks=callbacks)
    launcher = launcher_of(config, context, task)
    jobs = Jobs(launcher, folder)
    callbacks.on_multirun_start(config=config, config_name=config_name)
    given: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    sweep = sweeper_of(config, context, task, jobs)
    try:
        sweep(given)
    finally:
        tell(folder, config_name.replace("_", " "), jobs)
    callbacks.on_multirun_end(config=config, config_name=config_name)
    ended = [jobs.outcome(number) for number in sorted(jobs.wanted)]
    if folder.stopping:
        time_is_up = any(one.code == OUT_OF_TIME for one in ended)
        raise JobFailedError(OUT_OF_TIME if time_is_up else INTERRUPTED)
    code = next((one.code or DIED for one in ended if one.code != 0), 0)
    if code:
        raise JobFailedError(code)


def launcher_of(config: DictConfig, context: HydraContext, task: Task) -> Launcher:
    from synthgen.cli.sweep.ray import RayLauncher

    node: Any = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    ours = {f"{one.__module__}.{one.__name__}": one for one in (RayLauncher,)}
    kind = ours.get(node["_target_"])
    if kind is None:
        return Plugins.instance().instantiate_launcher(context, task, config)
    from synthgen.cli.build import build

    launcher: Launcher = build(node, key="hydra.launcher", role=Launcher)
    launcher.setup(hydra_context=context, task_function=task, config=config)
    return launcher


def sweeper_of(
    config: DictConfig, context: HydraContext, task: Task, jobs: Jobs
) -> Callable[[list[str]], object]:
    """What takes the settings of the command line and runs ``jobs``."""
    node: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    if node["_target_"].startswith("synthgen."):
        from synthgen.cli.build import build
        from synthgen.cli.sweep.study import Study

        study: Study = build(node, key="hydra.sweeper", role=Study)
        return functools.partial(study.sweep, jobs=jobs, config=config, context=context)
    if is_begun_again():
        jobs.folder.go_on()
    else:
        jobs.folder.require_new()
    plugins = Plugins.instance()
    basic = config.copy()  # it would look for a launcher of ours among Hydra's plugins
    with open_dict(basic.hydra):
        basic.hydra.launcher = {"_target_": BASIC}
    sweeper = plugins.instantiate_sweeper(hydra_context=context, task_function=task, config=basic)
    sweeper.launcher = Numbered(jobs)
    return sweeper.sweep


def is_begun_again() -> bool:
    """Whether SLURM began this whole command again."""
    job = current_job(os.environ)
    return job is not None and job.restart > 0


def tell(folder: SweepFolder, verb: str, jobs: Jobs) -> None:
    """The table of the whole sweep, and a line on each job of this process."""
    folder.remove_unused()
    ended = jobs.outcomes()
    if not ended or not folder.state.is_dir():
        return
    folder.write_table(verb, ended)
    print(printable(as_text(ended)), file=sys.stderr)
    mine = [one for one in ended if one.job in jobs.wanted]
    for one in mine:
        if one.code != 0:
            print(printable(why(one)), file=sys.stderr)
    for one in mine:
        if one.code == 0 and one.folder is not None:
            print(printable(one.folder) if sys.stdout.isatty() else one.folder, flush=True)


def why(job: SweepJob) -> str:
    """A line about a job that failed."""
    if job.code is None:
        how = "began and was killed" if job.pid is not None else "was not begun"
        said = " ".join((job.said or "").split())
        return f"Job {job.job} {how}: {said}" if said else f"Job {job.job} {how}."
    lines = (job.said or "").strip().splitlines() or ["it says no more"]
    at = -2 if lines[0].startswith("Traceback") else 0  # the last line asks to report the bug
    return f"Job {job.job} ended with code {job.code}: {lines[at]}"
