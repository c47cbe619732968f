"""The tracker of a stage, by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from synthgen.errors import SynthgenError
from synthgen.tracking.tracker import CsvOnly, DeviceUse, JobType, Kind, Tracker

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


def open_tracker(
    kind: Kind,
    out: Path,
    *,
    project: str,
    group: str | None,
    job_type: JobType,
    config: Mapping[str, Any],
    device_use: DeviceUse = "hidden",
) -> Tracker:
    """The tracker for one stage.

    Args:
        kind: ``"csv"``, or ``"wandb"``: online if there are credentials, else offline.
        out: the folder that the stage writes.
        group: shared by the stages of one run.
        config: plain nested data; values under names like ``api_key`` are masked. W&B gets it flat,
            under dotted names.
        device_use: whether W&B records how busy processor, memory and GPU are, which tells what
            machine it is.

    Raises:
        SynthgenError: the kind or W&B's mode is unknown.
    """
    if kind == "csv":
        return CsvOnly(out)
    if kind != "wandb":
        raise SynthgenError(
            f"logger.kind={kind} is not a way to track.\nChoose one of {', '.join(get_args(Kind))}."
        )
    from synthgen.tracking.wandb import start

    return start(
        out,
        project=project,
        group=group,
        job_type=job_type,
        config=config,
        device_use=device_use,
    )


def lightning_loggers(
    kind: Kind,
    out: Path,
    *,
    project: str,
    group: str | None,
    job_type: JobType,
    config: Mapping[str, Any],
    device_use: DeviceUse = "hidden",
) -> list[Logger]:
    """Only the loggers of :func:`open_tracker`. A W&B run among them ends with the process; prefer
    ``with open_tracker(...) as tracker`` where several stages share one process."""
    tracker = open_tracker(
        kind,
        out,
        project=project,
        group=group,
        job_type=job_type,
        config=config,
        device_use=device_use,
    )
    return tracker.loggers()
