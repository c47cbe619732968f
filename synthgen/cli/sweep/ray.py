"""A launcher that runs the jobs of a sweep as tasks of a Ray cluster: ``hydra/launcher=ray``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from synthgen.errors import SynthgenError
from synthgen.ranges import CountOrNone


class RayLauncher(Launcher):
    """Ray's own interface, without Hydra's plugin, which pins an old cloudpickle.

    Args:
        address: of a cluster that runs, as ``ray.init`` takes it; None: one on this machine, for
            this sweep alone.
        num_cpus: that a job takes.
        num_gpus: that a job takes; Ray shows it these and no others.
    """

    def __init__(
        self, address: str | None = None, num_cpus: CountOrNone = 1, num_gpus: CountOrNone = 0
    ) -> None:
        self.address = address
        self.resources = {"num_cpus": num_cpus, "num_gpus": num_gpus}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Returns when all are over. A job whose worker died is missing; its record says so."""
        ray = required_ray()
        mine = not ray.is_initialized()
        if mine:
            connect(ray, self.address)
        try:
            # Not tried again by Ray: the job's folder is there already.
            remote = ray.remote(max_retries=0, **self.resources)(work)
            parts = [ray.put(one) for one in (self.context, self.task, self.config)]
            state, here = Singleton.get_state(), os.getcwd()
            left = [
                remote.remote(*parts, list(overrides), initial_job_idx + at, state, here)
                for at, overrides in enumerate(job_overrides)
            ]
            return ended(ray, left)
        finally:
            if mine:
                ray.shutdown()


def required_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise SynthgenError(
            "hydra/launcher=ray needs Ray.\nInstall it: pip install 'ray>=2.50'"
        ) from None
    return ray


def connect(ray: Any, address: str | None) -> None:
    try:
        ray.init(address=address or "local", include_dashboard=False, log_to_driver=True)
    except (ConnectionError, ValueError) as error:
        said = str(error).strip().partition("\n")[0]
        raise SynthgenError(
            f"Ray can't be reached at hydra.launcher.address={address}: {said}\n"
            "Start it with ray start --head, or leave the address out."
        ) from None


def ended(ray: Any, left: list[Any]) -> list[JobReturn]:
    found = []
    for one in left:
        try:
            found.append(ray.get(one))
        except ray.exceptions.RayError:
            continue  # the worker died; the job's record says that it never ended
    return found


def work(
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    overrides: list[str],
    number: int,
    state: dict[Any, Any],
    folder: str,
) -> JobReturn:
    """One job, in a process of Ray's."""
    os.chdir(folder)
    setup_globals()
    Singleton.set_state(state)
    job = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(job):
        job.hydra.job.id = job.hydra.job.num = number
    answer = run_job(
        hydra_context=context,
        task_function=task,
        config=job,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    return answer.__class__(status=answer.status)  # what it made lies in files
