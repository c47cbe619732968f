"""Which process of how many this is, told by whatever launched it."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass

from synthgen.errors import SynthgenError

RANKS = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))  # torchrun; srun


@dataclass(frozen=True)
class Launch:
    """Process ``rank`` of ``world``; ``id`` is the same in all of them and in no other launch."""

    rank: int
    world: int
    id: str


def current_launch() -> Launch:
    """This process's place; alone where no launcher says otherwise."""
    for rank_key, world_key in RANKS:
        if rank_key in os.environ and world_key in os.environ:
            rank, world = (_number(key) for key in (rank_key, world_key))
            if not 0 <= rank < world:
                raise SynthgenError(f"{rank_key}={rank} does not fit {world_key}={world}.")
            if world > 1:
                return Launch(rank, world, _shared_id())
    return Launch(0, 1, uuid.uuid4().hex)


def _number(key: str) -> int:
    try:
        return int(os.environ[key])
    except ValueError:
        raise SynthgenError(f"{key} is {os.environ[key]!r}, not a whole number.") from None


def _shared_id() -> str:
    keys = ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "SLURM_JOB_ID", "SLURM_STEP_ID")
    return "/".join(os.environ.get(key, "-") for key in keys)
