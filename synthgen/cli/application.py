"""One verb as a Hydra application: compose, validate, do the job where nothing is lost, say
where the result lies."""

from __future__ import annotations

import dataclasses
import errno
import functools
import importlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from synthgen.cli.compose import run_hydra
from synthgen.cli.errors import explain
from synthgen.cli.launch import own_command, processes_to_start, start_together
from synthgen.cli.overrides import flags_first, quote_paths
from synthgen.cli.requeue import begun_again_when_time_is_up
from synthgen.cli.settings import (
    SETTINGS,
    RunSettings,
    Settings,
    TrainSettings,
    WritingSettings,
    require_packages,
    validate,
)
from synthgen.cli.sweep.agent import tell_agent
from synthgen.cli.sweep.command import (
    JobFailedError,
    in_sweep,
    is_sweep,
    place_of,
    this_job,
)
from synthgen.cli.sweep.objective import objective_of, value_of
from synthgen.cli.trust import require_own_address, require_own_packages
from synthgen.errors import (
    TO_STOP,
    StoppedByUserError,
    SynthgenError,
    listened_to,
    printable,
)
from synthgen.io import parse_json
from synthgen.launch import current_launch, require_one_process

if TYPE_CHECKING:
    from synthgen.cli.sweep.folder import SweepJob

# Where a command may write: not into what another one wrote.

SET, UNFINISHED = "dataset.json", Path(".synthgen") / "job.json"
RUN, FIRST_WORDS = "config.yaml", b"# synthgen "
OF_A_RUN = {"sampler", "best", "checkpoints", "samples", "synthetic", "report", "wandb"}


def require_own_place(out: Path) -> None:
    """Raises SynthgenError if ``out`` lies inside a set, which would then no longer be as it was
    written, or inside a folder that a run keeps for itself."""
    place = out.expanduser().resolve()
    for parent in place.parents:
        if (parent / UNFINISHED).is_file() or _is_set(parent / SET):
            raise SynthgenError(
                f"out={out} lies inside the set {parent}, which has no place for other files.\n"
                "Choose another out=."
            )
        if parent.name in OF_A_RUN and _is_run(parent.parent / RUN):
            raise SynthgenError(
                f"out={out} lies inside {parent}, where the run {parent.parent.name} keeps its "
                "own.\nChoose another out=."
            )


def _is_set(path: Path) -> bool:
    """Whether it is synthgen's: other programs have files of that name, too."""
    try:
        found = parse_json(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and str(found.get("format")).startswith("synthgen-")


def _is_run(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(FIRST_WORDS)) == FIRST_WORDS


MOST_SAID = 10_000  # characters of an error that a sweep keeps
log = logging.getLogger(__name__)
SHARED_OR_HARMLESS = {"synthesize", "verify", "models"}  # with several processes of one launcher
TRAINING = {"train", "run"}  # in as many processes as the trainer has devices


@dataclass(frozen=True)
class Invocation:
    """How the job was started, for what its settings don't say."""

    verb: str
    overrides: tuple[str, ...]  # key=value, as given
    groups: tuple[str, ...]  # names of the config groups
    name: str  # the experiment's, else the verb's
    job: int | None  # number within a sweep
    sweep: Path | None = None  # its folder
    hydra: tuple[str, ...] = ()  # overrides of Hydra itself

    def folder(self, out: str | None) -> Path:
        """Where to write: ``out``, ``out``/<job> in a sweep, or a new name under runs/. Raises
        SynthgenError for a place inside a set, or inside what a run keeps for itself."""
        if out is None and self.sweep is not None:
            found = self.sweep / str(self.job)
        elif out is None:
            found = Path("runs") / f"{self.name}-{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
        else:
            found = Path(out) if self.job is None else Path(out) / str(self.job)
        require_own_place(found)
        return found


@dataclass(frozen=True)
class JobDone:
    """How a job ended: ``folder`` is what it wrote, ``objective`` the result that ``objective=``
    names, ``said`` why it failed."""

    code: int
    folder: Path | None = None
    objective: float | None = None
    higher_is_better: bool | None = None
    said: str | None = None


def run_application(verb: str, arguments: Sequence[str]) -> int:
    """Run ``verb`` with Hydra's command line ``arguments``; returns the exit code."""
    codes: list[int] = []
    places: list[Path] = []

    def task(config: DictConfig) -> float | None:
        if in_sweep():  # the job may be in a process of its own
            from synthgen.cli.sweep.multirun import sweep_job

            overrides = HydraConfig.get().overrides.task
            return sweep_job(functools.partial(run_job, verb, config, arguments), overrides)
        done = run_job(verb, config, arguments)
        places.extend(() if done.folder is None else (done.folder,))
        codes.append(done.code)
        return done.objective

    config_name = verb.replace(" ", "_")
    with tempfile.TemporaryDirectory(prefix="synthgen-") as scratch, _command_line():
        try:
            _log_to_stderr()
            sys.argv = [f"synthgen {verb}", *for_hydra(verb, arguments, scratch)]
            run_hydra(config_name, task)
        except JobFailedError as error:
            codes.append(error.code)
        except SystemExit as error:  # --help, or argparse refusing a flag
            codes.append(error.code if isinstance(error.code, int) else 1)
        except (Exception, KeyboardInterrupt) as error:
            codes.append(explain(error, config_name, arguments))
    for place in places:  # here, where Hydra doesn't take a reader that leaves for an error
        print(printable(str(place)) if sys.stdout.isatty() else place, flush=True)
    return next((code for code in codes if code), 0)


def for_hydra(verb: str, arguments: Sequence[str], scratch: str) -> list[str]:
    """The arguments as Hydra reads them; ``scratch`` is for the sweep of a verb that writes
    nothing. Raises SynthgenError."""
    given = quote_paths(flags_first(arguments))
    if not is_sweep(given):
        return given
    writes = "out" in SETTINGS[verb].__dataclass_fields__
    return [*given, place_of(given, verb, None if writes else scratch)]


def run_job(
    verb: str, config: DictConfig, arguments: Sequence[str], before: SweepJob | None = None
) -> JobDone:
    """Do one job of the command line ``arguments``; all that it says goes to stderr. ``before`` is
    what a scheduler stopped and has started again: a run goes on where it was. Of several processes
    of a training one speaks for all."""
    folder, speaks = None, True
    try:
        speaks = verb not in TRAINING or current_launch().rank == 0
        _log_to_stderr(speaks)
        with redirect_stdout(sys.stderr):
            invocation = _invocation(verb)
            settings = _settings(verb, config)
            require_own_packages(settings.allow, arguments)
            if isinstance(settings, WritingSettings):
                require_own_address(settings.out, arguments)
            if settings.allow:
                sys.path.append(os.getcwd())  # the person's own package may lie here, uninstalled
                require_packages(settings.allow)
            objective = objective_of(settings)
            if before is not None:
                settings, invocation = _going_on(settings, invocation)
            if (count := _processes_to_start(verb, settings, invocation)) > 1:
                done = _done_together(verb, settings, arguments, invocation, count)
            else:
                job: Any = importlib.import_module(f"synthgen.cli.jobs.{verb.replace(' ', '_')}")
                with begun_again_when_time_is_up(settings):
                    folder = job.run(settings, invocation)
                done = JobDone(0, folder if speaks else None)
            if objective is None or done.folder is None:
                return done
            value = value_of(objective, done.folder)
            log.info("%s: %.6g", objective.name, value)
            tell_agent(objective, value)
        return JobDone(0, done.folder, value, objective.higher_is_better)
    except (Exception, KeyboardInterrupt) as error:
        if not speaks and isinstance(error, KeyboardInterrupt | StoppedByUserError):
            return JobDone(getattr(error, "exit_code", StoppedByUserError.exit_code))
        with redirect_stderr(StringIO()) as said:
            code = explain(error)
        _tell(said.getvalue())
        return JobDone(code, folder, said=said.getvalue()[-MOST_SAID:])


def _tell(text: str) -> None:
    """On stderr, unless that is a terminal that was closed: then nobody reads it."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # Python flushes once more


def _done_together(
    verb: str,
    settings: Settings,
    arguments: Sequence[str],
    invocation: Invocation,
    count: int,
) -> JobDone:
    """By ``count`` processes of this job's own command line. The first of them tells where the
    result lies, unless the job is one of a sweep, which tells of all."""
    if invocation.sweep is None:
        return JobDone(start_together(own_command(verb, arguments, invocation), count))
    assert isinstance(settings, TrainSettings)
    again = settings.resume is not None
    place = Path(str(settings.resume)) if again else invocation.folder(settings.out)
    command = own_command(verb, arguments, invocation, place, "resume" if again else "out")
    code = start_together(command, count, stdout=subprocess.DEVNULL)
    if code == 0:
        return JobDone(0, place)
    said = f"its {count} processes ended, and said why in what stands above."
    return JobDone(code, said=said)


def _going_on(settings: Settings, invocation: Invocation) -> tuple[Settings, Invocation]:
    """The same with ``resume=``, if the job was begun and is a run."""
    if not isinstance(settings, TrainSettings) or settings.resume is not None:
        return settings, invocation
    out = invocation.folder(settings.out)
    if not (out / RUN).is_file():
        return settings, invocation
    log.info("%s was begun before and goes on.", out)
    going_on = dataclasses.replace(settings, resume=str(out))
    return going_on, dataclasses.replace(invocation, overrides=())


def _processes_to_start(verb: str, settings: Settings, invocation: Invocation) -> int:
    if isinstance(settings, TrainSettings):
        return processes_to_start(settings, invocation)
    if verb not in SHARED_OR_HARMLESS:
        require_one_process(verb)
    return 1


def _settings(verb: str, config: DictConfig) -> Settings:
    plain: Any = OmegaConf.to_container(config, resolve=True)
    chosen = HydraConfig.get().runtime.choices
    whole_line = [*RunSettings.__dataclass_fields__] if chosen.get("experiment") else []
    return validate(plain, SETTINGS[verb], also_known=whole_line)


def _invocation(verb: str) -> Invocation:
    context = HydraConfig.get()
    choices = context.runtime.choices
    return Invocation(
        verb=verb,
        overrides=tuple(context.overrides.task),
        groups=tuple(str(group) for group in choices if not str(group).startswith("hydra/")),
        name=str(choices.get("experiment") or verb.replace(" ", "-")),
        job=this_job()[1] if in_sweep() else None,
        sweep=this_job()[0] if in_sweep() else None,
        hydra=tuple(context.overrides.hydra),
    )


class Printable(logging.Formatter):
    """Names in a message may hold what a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _log_to_stderr(speaks: bool = True) -> None:
    """Our own messages, bare, on the stderr of this moment; only errors unless this process
    ``speaks`` for all."""
    logger = logging.getLogger("synthgen")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Printable("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if speaks else logging.ERROR)
    logger.propagate = False


@contextmanager
def _command_line() -> Iterator[None]:
    """Hydra reads ``sys.argv``, and swallows errors unless an environment variable forbids it: put
    everything back afterwards."""
    before, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    handlers = _end_like_ctrl_c()
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = before
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if full_error is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def _end_like_ctrl_c() -> dict[int, Any]:
    """Let SIGTERM and a closed terminal clean up as Ctrl-C does; returns the handlers to put
    back."""
    if threading.current_thread() is not threading.main_thread():
        return {}  # only the main thread may handle signals
    numbers = [one for one in TO_STOP if one != signal.SIGINT and listened_to(one)]
    return {one: signal.signal(one, signal.default_int_handler) for one in numbers}
