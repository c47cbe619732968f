"""Processes that train together: how they find each other, and what Lightning has to know of it.

Gradients are averaged by :meth:`synthgen.training.module.GenerativeModule.descend`, so nothing is
wrapped: two optimizers, frozen networks and gradients of gradients don't fit
DistributedDataParallel's reducer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning_fabric.plugins import ClusterEnvironment
from lightning_fabric.plugins.environments import LightningEnvironment, SLURMEnvironment
from lightning_fabric.utilities.rank_zero import rank_zero_only as of_fabric
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from synthgen.errors import ProcessLostError, SynthgenError
from synthgen.launch import FOLDER, Launch, current_launch, require_devices
from synthgen.processes import Processes, Together
from synthgen.training.state import CheckedStates

Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
PATIENCE = timedelta(minutes=30)  # for a step of the others; one that is gone is noticed at once
READING = timedelta(hours=12)  # for process 0, which reads data and writes files meanwhile
PORTS, FIRST_PORT = 10_000, 15_000
LOST = re.compile(r"gloo|nccl|connection (closed|reset)|broken pipe|timed out|process ?group", re.I)


@contextmanager
def together(accelerator: Accelerator = "auto") -> Iterator[Processes]:
    """The processes that a launcher has started, this one among them; this one alone if there was
    none. On CPUs they speak gloo, on GPUs NCCL, and gloo for what isn't on a device.

    Raises:
        SynthgenError: there is no device for this process.
        ProcessLostError: another one is gone, or doesn't answer any more.
    """
    launch = current_launch()
    if launch.world == 1:
        yield Processes()
        return
    device = device_of(launch, accelerator)
    with lost_processes_told():
        if not dist.is_initialized():
            dist.init_process_group(
                "gloo" if device.type == "cpu" else "nccl",
                init_method=meeting_place(launch),
                rank=launch.rank,
                world_size=launch.world,
                timeout=PATIENCE,
                device_id=None if device.type == "cpu" else device,
            )
        control: Any = dist.new_group(backend="gloo", timeout=READING)
        yield Together(control=control)
    dist.destroy_process_group()  # not after an error: the others notice when this process ends


def device_of(launch: Launch, accelerator: Accelerator) -> torch.device:
    """The CPU, or a GPU of this process's own. SLURM may show each process its own GPU alone."""
    cuda = torch.cuda.is_available()
    if accelerator == "cpu" or (accelerator == "auto" and not cuda):
        return torch.device("cpu")
    if not cuda:
        raise SynthgenError(
            f"trainer.accelerator={accelerator}: several processes train on NVIDIA's or AMD's GPUs "
            "or on CPUs, and torch finds no such GPU here.\nUse trainer.accelerator=cpu."
        )
    count = torch.cuda.device_count()
    if count < launch.local_world and count != 1:
        raise _too_few(launch, count)
    shown_alone = count == 1 and os.environ.get("CUDA_VISIBLE_DEVICES") is not None
    if count < launch.local_world and not shown_alone:
        raise _too_few(launch, count)
    return torch.device("cuda", 0 if count < launch.local_world else launch.local_rank)


def _too_few(launch: Launch, count: int) -> SynthgenError:
    return SynthgenError(
        f"trainer.devices={launch.local_world}, but torch finds {count} GPU on this machine.\n"
        f"Use trainer.devices={count}, or trainer.accelerator=cpu."
    )


def meeting_place(launch: Launch) -> str:
    """Where all processes find each other: a file on this machine, or an address of process 0."""
    if (folder := os.environ.get(FOLDER)) is not None:
        return f"file://{Path(folder).absolute() / 'meeting'}"
    if "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ:
        return "env://"
    nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_NODELIST", "127.0.0.1")
    host = os.environ.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(nodes)
    return f"tcp://{host}:{os.environ.get('MASTER_PORT') or _port()}"


def _port() -> int:
    """Another one for each step of each job, the same in all its processes."""
    job, step = (re.sub(r"\D", "", os.environ.get(key, "")) or "0" for key in STEP)
    return FIRST_PORT + (int(job) + 1009 * int(step)) % PORTS


STEP = ("SLURM_JOB_ID", "SLURM_STEP_ID")


@contextmanager
def lost_processes_told() -> Iterator[None]:
    """What torch says when another process is gone, in words."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or LOST.search(str(error)):
            raise ProcessLostError(
                "Another process of this training is gone, or doesn't answer any more."
            ) from error
        raise


def require_processes(devices: int, nodes: int) -> None:
    """Raises SynthgenError in a script that wants several processes and isn't started by a
    launcher."""
    launch = current_launch()
    if launch.world == 1:
        raise SynthgenError(
            f"devices={devices}, num_nodes={nodes}: train() starts no processes, and this one is "
            "alone.\nStart the script with "
            f"torchrun --nproc-per-node={devices} SCRIPT, or train from the command line: "
            f"synthgen train … trainer.devices={devices}"
        )
    require_devices(launch, devices, nodes)


def device_options(processes: Processes, accelerator: Accelerator) -> dict[str, Any]:
    """How Lightning's trainer is to run this process. It is told where it is, alone or not:
    its own guess of a cluster would save states elsewhere on a signal, and start from any that it
    finds there."""
    if processes.world == 1:
        plugins = [CheckedStates(), LightningEnvironment()]
        return {"accelerator": accelerator, "devices": 1, "plugins": plugins}
    launch = current_launch()
    device = device_of(launch, accelerator)
    return {
        "accelerator": device.type,
        "devices": 1,  # of this process
        "strategy": Unwrapped(processes, launch, device),
        "plugins": [CheckedStates()],
    }


class Placed(ClusterEnvironment):
    """A launch, as Lightning asks for it."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch

    creates_processes_externally = True
    main_address = "127.0.0.1"  # never asked: the group exists already
    main_port = 0

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self.launch.world

    def global_rank(self) -> int:
        return self.launch.rank

    def local_rank(self) -> int:
        return self.launch.local_rank

    def node_rank(self) -> int:
        return (self.launch.rank - self.launch.local_rank) // self.launch.local_world

    def set_world_size(self, size: int) -> None:
        """It is what it is."""

    def set_global_rank(self, rank: int) -> None:
        """It is what it is."""


class Unwrapped(DDPStrategy):
    """Lightning's strategy for a module that averages its gradients itself, in processes and a
    group that exist already."""

    def __init__(self, processes: Processes, launch: Launch, device: torch.device) -> None:
        super().__init__(
            parallel_devices=[device],
            cluster_environment=Placed(launch),
            process_group_backend="gloo" if device.type == "cpu" else "nccl",
        )
        self.processes, self.device = processes, device

    @property
    def root_device(self) -> torch.device:
        return self.device

    def _configure_launcher(self) -> None:
        """All processes are there."""

    def setup_distributed(self) -> None:
        self.set_world_ranks()

    def set_world_ranks(self) -> None:
        vars(rank_zero_only)["rank"] = vars(of_fabric)["rank"] = self.processes.rank

    def configure_ddp(self) -> None:
        """Nothing is wrapped."""

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        self.processes.wait()

    def broadcast(self, obj: Any, src: int = 0) -> Any:
        assert src == 0
        return self.processes.first_says(obj)
