"""Which process of how many this is, told by whatever started it: synthgen itself, torchrun or
srun."""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass

from synthgen.errors import SynthgenError

TORCHRUN = ("RANK", "WORLD_SIZE")
# Of a step, which srun alone begins: SLURM_NTASKS is the whole job's, and set in its shell too.
SRUN = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")
FOLDER = "SYNTHGEN_LAUNCH"  # of a launch by synthgen itself: where its processes find each other
SHARED = (
    FOLDER, "TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "SLURM_JOB_ID", "SLURM_STEP_ID",
)  # fmt: skip
STRATEGIES = ("auto", "ddp")


@dataclass(frozen=True)
class Launch:
    """Process ``rank`` of ``world``; ``id`` is the same in all of them and in no other launch.

    ``local_rank`` of ``local_world`` is its place among those on the same machine.
    """

    rank: int
    world: int
    id: str
    local_rank: int = 0
    local_world: int = 1


def current_launch() -> Launch:
    """This process's place; alone where no launcher says otherwise."""
    for keys, local in ((TORCHRUN, _local_of_torchrun), (SRUN, _local_of_srun)):
        rank_key, world_key = keys
        if rank_key in os.environ and world_key in os.environ:
            rank, world = (_number(key) for key in keys)
            if not 0 <= rank < world:
                raise SynthgenError(f"{rank_key}={rank} does not fit {world_key}={world}.")
            if world > 1:
                return Launch(rank, world, _shared_id(), *local(rank, world))
    return Launch(0, 1, uuid.uuid4().hex)


def _local_of_torchrun(rank: int, world: int) -> tuple[int, int]:
    """Without a word about machines there is one."""
    if "LOCAL_RANK" in os.environ and "LOCAL_WORLD_SIZE" in os.environ:
        return _number("LOCAL_RANK"), _number("LOCAL_WORLD_SIZE")
    return rank, world


def _local_of_srun(rank: int, world: int) -> tuple[int, int]:
    """SLURM counts the tasks of each machine as in ``2(x3),1``."""
    if "SLURM_LOCALID" not in os.environ:
        return rank, world
    per_node: list[int] = []
    for count, times in re.findall(
        r"(\d+)(?:\(x(\d+)\))?", os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")
    ):
        per_node += [int(count)] * int(times or 1)
    node = _number("SLURM_NODEID") if "SLURM_NODEID" in os.environ else 0
    local = per_node[node] if node < len(per_node) else world
    return _number("SLURM_LOCALID"), local


def _number(key: str) -> int:
    try:
        return int(os.environ[key])
    except ValueError:
        raise SynthgenError(f"{key} is {os.environ[key]!r}, not a whole number.") from None


def _shared_id() -> str:
    return "/".join(os.environ.get(key, "-") for key in SHARED)


def require_one_process(verb: str) -> None:
    """Refuse a launcher that starts several processes of a verb that works as one: each would do
    all of it, at the same place."""
    launch = current_launch()
    if launch.world > 1:
        raise SynthgenError(
            f"{launch.world} processes were started (torchrun or srun), but synthgen {verb} works "
            f"as one.\nStart it once, without torchrun or with srun --ntasks=1; only synthgen "
            "synthesize, train and run share their work among several."
        )


def require_devices(launch: Launch, devices: int, nodes: int) -> None:
    """Raises SynthgenError if a launcher started other processes than the trainer's settings want,
    or none where one is needed."""
    wanted = devices * nodes
    if launch.world == 1:
        if nodes > 1:
            raise SynthgenError(
                f"trainer.num_nodes={nodes}: one command can't start processes on other machines.\n"
                f"srun --nodes={nodes} --ntasks-per-node={devices} synthgen …, or on each machine "
                f"torchrun --nnodes={nodes} --nproc-per-node={devices} --rdzv-backend=c10d "
                "--rdzv-endpoint=FIRST_MACHINE:29500 $(which synthgen) …"
            )
        if devices > 1 and "TORCHELASTIC_RUN_ID" in os.environ:
            raise SynthgenError(
                f"torchrun started 1 process, but trainer.devices={devices}.\n"
                f"Use torchrun --nproc-per-node={devices}, or leave torchrun out."
            )
        return
    if launch.world != wanted or launch.local_world != devices:
        machines = launch.world // launch.local_world
        raise SynthgenError(
            f"{launch.world} processes were started (torchrun or srun), {launch.local_world} on "
            f"this machine, but trainer.devices={devices} trainer.num_nodes={nodes} "
            f"means {wanted}.\nUse trainer.devices={launch.local_world} "
            f"trainer.num_nodes={machines}, or start as many."
        )


def require_strategy(strategy: str) -> None:
    """Raises SynthgenError for one of Lightning's strategies that isn't ours."""
    if strategy not in STRATEGIES:
        raise SynthgenError(
            f"trainer.strategy={strategy} is not supported: training averages the gradients of "
            "whole networks, in processes of its own.\n"
            "Use trainer.strategy=ddp, or leave it out."
        )
