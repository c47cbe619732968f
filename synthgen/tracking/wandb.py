"""Weights & Biases: welcome, never required.

Nothing here imports wandb before it is needed. A run is online when credentials exist, else
offline, and offline runs tell in one line how to upload them later.
"""

from __future__ import annotations

import inspect
import logging
import math
import netrc
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlparse

from synthgen.errors import SynthgenError
from synthgen.evaluation.provenance import shortened
from synthgen.masking import flatten, masked
from synthgen.tracking.lineage import Piece, remember_name, remember_run, remembered_name
from synthgen.tracking.lineage import remembered_run as run_to_go_on_with
from synthgen.tracking.metrics_csv import CLOCK
from synthgen.tracking.tracker import CsvOnly, DeviceUse, JobType, Number, Tracker

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

log = logging.getLogger(__name__)

Mode = Literal["online", "offline", "disabled"]
MODES = {"", "online", "run", "offline", "dryrun", "disabled", "shared"}
HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")  # defaults of older and newer wandb
INIT_SECONDS = 30.0
DATA_DIR = "WANDB_DATA_DIR"  # where wandb keeps copies of an artifact's files
# Nothing about the machine, its user or its folders belongs in a record that goes elsewhere.
SETTINGS: dict[str, Any] = {
    "host": "",  # None is filled in with the machine's name
    "console": "off",  # the terminal's text can hold paths and names
    "silent": True,
    "disable_git": True,
    "disable_code": True,
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
    "symlink": False,
    "init_timeout": INIT_SECONDS,
}
SHOWN: dict[DeviceUse, dict[str, Any]] = {"hidden": {}, "shown": {"x_disable_stats": False}}


def choose_mode(environ: Mapping[str, str], known_hosts: Sequence[str]) -> Mode:
    """``WANDB_MODE`` decides if it is set; else online iff there is a key in the environment or in
    netrc (``known_hosts``) for W&B's host. Raises SynthgenError for a mode that W&B doesn't
    have."""
    wish = environ.get("WANDB_MODE", "").lower()
    if wish not in MODES:
        raise SynthgenError(
            f"WANDB_MODE is {environ['WANDB_MODE']!r}, which is no mode of W&B's.\n"
            "Set it to online, offline or disabled, or use logger=csv."
        )
    if wish in {"offline", "dryrun"}:
        return "offline"
    if wish == "disabled" or environ.get("WANDB_DISABLED", "").lower() in {"true", "1"}:
        return "disabled"
    address = environ.get("WANDB_BASE_URL")
    hosts = (urlparse(address).hostname,) if address else HOSTS
    has_key = bool(environ.get("WANDB_API_KEY")) or any(host in known_hosts for host in hosts)
    return "online" if has_key else "offline"


def netrc_hosts(environ: Mapping[str, str]) -> list[str]:
    """The hosts that netrc has an entry for; none when there is no readable file."""
    named = environ.get("NETRC")
    places = [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]
    for place in places:
        try:
            return list(netrc.netrc(place).hosts)
        except (OSError, netrc.NetrcParseError):
            continue
    return []


def run_folder(out: Path, job_type: JobType) -> Path:
    """Where ``wandb/`` goes: inside a training run, beside every other folder, because a synthetic
    set may hold nothing but classes and a report is something to hand on. The stages of one
    ``run`` therefore share one ``wandb/``."""
    out = Path(out).absolute()
    return out if job_type == "train" else out.parent


def start(
    out: Path,
    *,
    project: str,
    group: str | None,
    job_type: JobType,
    config: Mapping[str, Any],
    device_use: DeviceUse = "hidden",
) -> Tracker:
    """Begin a W&B run, or fall back: online, offline, files only; one line says so. A training
    that is resumed goes on with the run that it began."""
    mode = choose_mode(os.environ, netrc_hosts(os.environ))
    if mode == "disabled" or not _is_first_process():
        return CsvOnly(out)
    root = run_folder(out, job_type)
    arguments = {
        "project": project,
        "group": group,
        "job_type": job_type,
        "name": f"{config.get('folder', group)}-{job_type}" if group else None,
        "dir": str(root),
        "config": flatten(masked(shortened(dict(config)))),
    }
    known = run_to_go_on_with(root) if job_type == "train" else None
    if known is not None:
        arguments |= {"id": known, "resume": "allow"}
    try:
        run = _begin(mode, arguments, SETTINGS | SHOWN[device_use])
        if job_type == "train":
            remember_run(root, run.id)
        return WandB(out, run, group or Path(out).name, job_type)
    except ImportError:
        log.warning("wandb is not installed; tracking goes to files only.")
    except _service_errors() as error:
        log.warning("W&B could not start (%s); tracking goes to files only.", _first_line(error))
    return CsvOnly(out)


def _begin(mode: Mode, arguments: dict[str, Any], options: dict[str, Any]) -> Any:
    if mode == "online":
        try:
            return _init(mode, arguments, options)
        except _service_errors() as error:
            log.warning("W&B could not be reached (%s); going on offline.", _first_line(error))
    return _init("offline", arguments, options)


def _init(mode: Mode, arguments: dict[str, Any], options: dict[str, Any]) -> Any:
    if mode == "offline":
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read on import: no network at all
    if not os.environ.get("WANDB_MODE"):
        os.environ.pop("WANDB_MODE", None)  # set, but empty: wandb takes that for a mode
    import wandb

    Path(arguments["dir"]).mkdir(parents=True, exist_ok=True)
    known = getattr(wandb.Settings, "model_fields", {})
    settings = wandb.Settings(**{key: value for key, value in options.items() if key in known})
    if wandb.run is not None:  # a run that someone left open would swallow this one
        wandb.finish()
    return wandb.init(**arguments, mode=mode, settings=settings)


class WandB(Tracker):
    """One W&B run. Everything that can fail on the service's side is caught and told once."""

    def __init__(self, out: Path, run: Any, group: str, job_type: JobType) -> None:
        super().__init__(out)
        self.run, self.group, self.job_type = run, group, job_type
        self.offline = bool(run.settings._offline)
        self.folder = Path(run.dir).parent
        self.root = run_folder(out, job_type)
        if self.offline:
            name_files_from(run, self.root)
        if job_type == "train":
            run.define_metric(CLOCK)
            run.define_metric("*", step_metric=CLOCK)

    def loggers(self) -> list[Logger]:
        from synthgen.tracking.lightning import ImagesSeenWandbLogger

        return [*super().loggers(), ImagesSeenWandbLogger(self.run, self.out)]

    def log_values(self, values: Mapping[str, Number | str | None]) -> None:
        with self._forgiving("numbers"):
            self.run.summary.update(
                {name: value for name, value in values.items() if _is_sound(value)}
            )

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        import wandb

        with self._forgiving("a table"), staging_in(self.root / "wandb"):
            data = [[_cell(value) for value in row] for row in rows]
            table = wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)
            self.run.log({name: table})

    def log_pictures(self, files: Mapping[str, Path]) -> None:
        import wandb

        with self._forgiving("pictures"):
            self.run.log({name: wandb.Image(str(path)) for name, path in files.items()})

    def log_piece(self, piece: Piece) -> None:
        name = safe_name(f"{self.group}-{piece.kind}")
        with self._forgiving("an artifact"), staging_in(self.root / "wandb"):
            self.run.log_artifact(artifact_of(piece, name), aliases=["latest", piece.alias])
            remember_name(self.root, piece.fingerprint, name)

    def use_piece(self, piece: Piece) -> None:
        found = remembered_name(piece) or piece.common_name
        name = found.rpartition("/")[2].partition(":")[0]
        with self._forgiving("an artifact"), staging_in(self.root / "wandb"):
            if self.offline:
                self._use_later(artifact_of(piece, name), piece.alias)
            elif not self._use_known(found if "/" in found else f"{name}:{piece.alias}"):
                self.run.use_artifact(artifact_of(piece, name), aliases=[piece.alias])

    def _use_known(self, address: str) -> bool:
        """Whether W&B has it already."""
        try:
            self.run.use_artifact(address)
        except _refusals():
            return False
        return True

    def _use_later(self, artifact: Any, alias: str) -> None:
        """Record what ``use_artifact``, refused offline, records online of an artifact that W&B may
        not have yet, so that ``wandb sync`` can link it. Not as the latest one, which it need not
        be. wandb has no public way to this: where another version has none either, fingerprints
        remain."""
        publish = getattr(getattr(self.run, "_interface", None), "publish_artifact", None)
        if publish is None or "use_after_commit" not in inspect.signature(publish).parameters:
            log.warning("This version of wandb can't record what an offline run used.")
            return
        name_files(artifact, self.root)
        artifact.finalize()
        publish(self.run, artifact, [alias], is_user_created=True, use_after_commit=True)

    def log_fingerprints(self, fingerprints: Mapping[str, str | None]) -> None:
        flat = {f"fingerprints.{role}": value for role, value in fingerprints.items()}
        with self._forgiving("fingerprints"):
            self.run.config.update(flat, allow_val_change=True)

    def close(self, exit_code: int) -> None:
        run, self.run = self.run, None
        if run is None:
            return
        with self._forgiving("the end of the run"):
            run.finish(exit_code=exit_code)
            remove_logs(self.folder / "logs")
        if self.offline:
            root, folder = self.root, os.path.relpath(self.folder, self.root)
            log.info(
                "W&B is offline. To upload this run: cd %s && wandb sync %s",
                shlex.quote(str(root)),
                shlex.quote(folder),
            )
        else:
            log.info("W&B: %s", run.url)

    @contextmanager
    def _forgiving(self, what: str) -> Iterator[None]:
        try:
            yield
        except _service_errors() as error:
            log.warning("W&B did not take %s: %s", what, _first_line(error))


def artifact_of(piece: Piece, name: str) -> Any:
    """W&B's form of a piece; its digest is that of the files."""
    import wandb

    artifact = wandb.Artifact(safe_name(name), piece.kind, metadata=dict(piece.metadata))
    for file in piece.files:
        artifact.add_file(str(file), name=file.name)
    for made, content in piece.made.items():
        with artifact.new_file(made, mode="wb") as opened:
            opened.write(content)
    return artifact


def name_files(artifact: Any, root: Path) -> None:
    """Let an offline record name the files of an artifact by their paths from ``root``. They are
    read by ``wandb sync``, which therefore must run there."""
    for entry in artifact.manifest.entries.values():
        if entry.local_path:
            entry.local_path = os.path.relpath(entry.local_path, root)


def name_files_from(run: Any, root: Path) -> None:
    """The same for all that a run logs, also what is inside its tables."""
    publish = run.log_artifact

    def log_artifact(artifact: Any, *args: Any, **kwargs: Any) -> Any:
        name_files(artifact, root)
        return publish(artifact, *args, **kwargs)

    run.log_artifact = log_artifact


def remove_logs(folder: Path) -> None:
    """wandb's own logs that are full of this machine's paths, and links to such."""
    for path in folder.glob("*"):
        if path.is_symlink() or path.name == "debug.log":
            path.unlink()


@contextmanager
def staging_in(folder: Path) -> Iterator[None]:
    """Let wandb copy the files of artifacts to ``folder``, beside their run, not to the account's
    data folder; somewhere else if the person says so."""
    if DATA_DIR in os.environ:
        yield
        return
    os.environ[DATA_DIR] = str(folder)
    try:
        yield
    finally:
        del os.environ[DATA_DIR]


def _is_sound(value: Number | str | None) -> bool:
    """One NaN would stay in W&B's summary for good."""
    return isinstance(value, str) or (value is not None and math.isfinite(value))


def _cell(value: Any) -> Any:
    import wandb

    return wandb.Image(str(value)) if isinstance(value, Path) else value


def safe_name(name: str) -> str:
    """Artifact names may hold letters, digits, dots, dashes and underscores, 128 at most."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[-128:]


def _service_errors() -> tuple[type[BaseException], ...]:
    """What a sick service or a full disk raises; OSError includes lost connections."""
    import wandb.errors

    return wandb.errors.Error, OSError


def _refusals() -> tuple[type[BaseException], ...]:
    """What is raised, besides, for an artifact that W&B doesn't have."""
    return *_service_errors(), ValueError


def _is_first_process() -> bool:
    """Lightning and torchrun start the other processes of one training with these set."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK"))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
