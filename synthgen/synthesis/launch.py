"""Which process of how many this is, told by whatever launched it."""

from __future__ import annotations

import logging
import os
import uuid
from dataclasses import dataclass

from synthgen.errors import SynthgenError

TORCHRUN = ("RANK", "WORLD_SIZE")
# Of a step, which srun alone begins: SLURM_NTASKS is the whole job's, and set in its shell too.
SRUN = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Launch:
    """Process ``rank`` of ``world``; ``id`` is the same in all of them and in no other launch."""

    rank: int
    world: int
    id: str


def current_launch() -> Launch:
    """This process's place; alone where no launcher says otherwise."""
    for rank_key, world_key in (TORCHRUN, SRUN):
        if rank_key in os.environ and world_key in os.environ:
            rank, world = (_number(key) for key in (rank_key, world_key))
            if not 0 <= rank < world:
                raise SynthgenError(f"{rank_key}={rank} does not fit {world_key}={world}.")
            if world > 1:
                return Launch(rank, world, _shared_id())
    return Launch(0, 1, uuid.uuid4().hex)


def require_one_process(verb: str) -> None:
    """Refuse a launcher that starts several processes of a verb that works as one: each would do
    all of it, at the same place."""
    launch = current_launch()
    if launch.world > 1:
        raise SynthgenError(
            f"{launch.world} processes were started (torchrun or srun), but synthgen {verb} works "
            f"as one.\nStart it once, without torchrun or with srun --ntasks=1; only synthgen "
            "synthesize shares its work among several."
        )


def tell_of_idle_tasks() -> None:
    """One line where SLURM has granted several tasks and this process was not begun by srun."""
    tasks = os.environ.get("SLURM_NTASKS", "1")
    if current_launch().world == 1 and tasks.isdecimal() and int(tasks) > 1:
        log.info(
            "SLURM granted %s tasks, but srun didn't start this process: it goes on alone. "
            "To use them all: srun synthgen synthesize …",
            tasks,
        )


def _number(key: str) -> int:
    try:
        return int(os.environ[key])
    except ValueError:
        raise SynthgenError(f"{key} is {os.environ[key]!r}, not a whole number.") from None


def _shared_id() -> str:
    keys = ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "SLURM_JOB_ID", "SLURM_STEP_ID")
    return "/".join(os.environ.get(key, "-") for key in keys)
