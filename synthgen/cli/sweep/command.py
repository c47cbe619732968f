"""What a command line has to know of sweeps before it is known to be one; nothing here imports
what a single job has no use for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

from synthgen.errors import OUT_OF_TIME, SynthgenError

STATE = ".sweep"  # in the folder of a sweep: what isn't a job's own
INTERRUPTED = 130
UNFINISHED = (None, INTERRUPTED, OUT_OF_TIME)  # codes of what was stopped, and may go on
FLAGS, MODE = {"-m", "--multirun"}, "hydra.mode=MULTIRUN"
DIR = "hydra.sweep.dir"


class JobFailedError(Exception):
    """A job of a sweep ended with ``code``; what went wrong is told already. Hydra brings it from
    wherever the job ran."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def is_sweep(arguments: Sequence[str]) -> bool:
    return bool({*FLAGS, MODE} & set(arguments))


def in_sweep() -> bool:
    """Whether this is a job of one."""
    mode = HydraConfig.get().mode
    return mode is not None and mode.name == "MULTIRUN"


def place_of(arguments: Sequence[str], verb: str, otherwise: str | None = None) -> str:
    """The setting that tells Hydra where the sweep keeps what isn't a job's own: in ``out``, or,
    if there is none or one for each job, in ``otherwise``, by default a new folder of runs/."""
    if any(one.startswith(f"{DIR}=") for one in arguments):
        raise SynthgenError(f"A sweep lies in out=, and {DIR} can't be set.\nLeave it out.")
    out = _plain_out(arguments)
    name = f"{verb.replace(' ', '-')}-sweep-{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
    path = Path(out or otherwise or f"runs/{name}").expanduser()
    text = str(path.absolute() / STATE).replace("'", "\\'")
    return f"{DIR}='{text}'"


def _plain_out(arguments: Sequence[str]) -> str | None:
    """The one local folder that ``out=`` names."""
    given = [one for one in arguments if one.lstrip("+").startswith("out=")]
    if not given:
        return None
    override = OverridesParser.create().parse_override(given[-1])
    value = None if override.is_sweep_override() else override.value()
    return None if value is None or "://" in str(value) else str(value)


def this_job() -> tuple[Path, int]:
    """The folder of the sweep that the job of this process belongs to, and the job's number."""
    sweep = HydraConfig.get().sweep
    return shown(Path(str(sweep.dir)).parent), int(Path(str(sweep.subdir)).name)


def shown(folder: Path) -> Path:
    """``folder`` from here, if it lies below."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
