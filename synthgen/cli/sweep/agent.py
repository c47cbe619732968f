"""What an agent of W&B's sweeps, which started this process, wants to know: the objective."""

from __future__ import annotations

import logging
import os

from synthgen.cli.sweep.objective import Objective

SWEEP, RUN = "WANDB_SWEEP_ID", "WANDB_RUN_ID"
KEY = "objective"
log = logging.getLogger(__name__)


def tell_agent(objective: Objective, value: float) -> None:
    """Write ``objective`` into the summary of the run that the agent asked for, after the stages of
    the command have ended it; files in configs/sweep/ name it as their metric. Does nothing where
    no agent is; one line says so where W&B can't be reached."""
    if SWEEP not in os.environ:
        return
    import wandb

    from synthgen.tracking.wandb import SETTINGS, choose_mode, netrc_hosts

    mode = choose_mode(os.environ, netrc_hosts(os.environ))
    settings = wandb.Settings(**SETTINGS)  # nothing about the machine goes along
    place = os.environ.get("WANDB_DIR") or os.getcwd()  # wandb would take that of an earlier run
    try:
        run = wandb.init(
            id=os.environ.get(RUN), resume="allow", mode=mode, settings=settings, dir=place
        )
    except wandb.errors.Error as error:
        _tell_person(objective, value, str(error).strip().partition("\n")[0])
        return
    run.summary[KEY] = value
    run.summary[f"{KEY}_name"] = objective.name
    run.finish()
    if mode == "offline":
        _tell_person(objective, value, "there is no key of W&B's here, so it is kept offline")


def _tell_person(objective: Objective, value: float, why: str) -> None:
    log.warning("W&B's agent isn't told %s = %.6g: %s.", objective.name, value, why)
