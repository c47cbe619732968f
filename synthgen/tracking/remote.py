"""What is read back from W&B's service: ``wandb:ENTITY/PROJECT[/GROUP]`` for runs,
``wandb:ENTITY/PROJECT/NAME:VERSION`` for a sampler.

What is asked of the service is written down as protocols, which ``wandb.Api`` fulfils, so that
anything that fulfils them can stand in for it.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from synthgen.errors import SynthgenError
from synthgen.io import file_digest
from synthgen.masking import flatten
from synthgen.tracking.lineage import PUBLIC_REPORT, remember_name
from synthgen.tracking.wandb import choose_mode, netrc_hosts

log = logging.getLogger(__name__)

SCHEME = "wandb:"
RUNS = re.compile(r"wandb:([\w.-]+)/([\w.-]+)(?:/([^/:]+))?")
ARTIFACT = re.compile(r"wandb:([\w.-]+/[\w.-]+/[\w.-]+:[\w.-]+)")


class RemoteEntry(Protocol):
    def download(self, root: str) -> Any: ...


class RemoteArtifact(Protocol):
    """``wandb.Artifact``. ``type`` is its kind."""

    @property
    def type(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...
    def get_entry(self, name: str) -> RemoteEntry: ...


class RemoteFile(Protocol):
    def download(self, root: str, replace: bool) -> Any: ...


class RemoteRun(Protocol):
    """``wandb.apis.public.Run``."""

    @property
    def id(self) -> str: ...
    @property
    def job_type(self) -> str | None: ...
    @property
    def group(self) -> str | None: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    def scan_history(self) -> Iterable[Mapping[str, Any]]: ...
    def logged_artifacts(self) -> Iterable[RemoteArtifact]: ...
    def file(self, name: str) -> RemoteFile: ...


class Client(Protocol):
    """``wandb.Api``."""

    @property
    def default_entity(self) -> str | None: ...
    def runs(self, path: str, filters: Mapping[str, Any]) -> Iterable[RemoteRun]: ...
    def artifact(self, name: str) -> RemoteArtifact: ...


def open_client() -> Client:
    """Raises SynthgenError without a login, and where W&B is set to stay offline."""
    mode = choose_mode(os.environ, netrc_hosts(os.environ))
    if mode != "online":
        wish = os.environ.get("WANDB_MODE")
        raise SynthgenError(
            f"Reading from W&B needs its service, but WANDB_MODE is {wish}.\n"
            "Unset it, or name folders of this machine."
            if wish and wish != "online"
            else "Reading from W&B needs a login, and there is none.\n"
            "Log in with: wandb login. Or name folders of this machine."
        )
    try:
        import wandb
    except ImportError as error:
        raise SynthgenError(
            "Reading from W&B needs its package.\nInstall it: pip install wandb"
        ) from error
    with told_in_a_sentence("W&B"):
        client: Any = wandb.Api()
    return client


@contextmanager
def told_in_a_sentence(what: str) -> Iterator[None]:
    """What the service, the network or a wrong address raise, as a SynthgenError."""
    try:
        yield
    except SynthgenError:
        raise
    except _troubles() as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise SynthgenError(
            f"{what} could not be read: {reason}\nCheck the address, the login and the network."
        ) from error


def _troubles() -> tuple[type[BaseException], ...]:
    try:
        import wandb.errors
    except ImportError:
        return OSError, ValueError
    return OSError, ValueError, wandb.errors.Error


# Runs.


@dataclass(frozen=True)
class RunsAddress:
    """``wandb:ENTITY/PROJECT[/GROUP]``."""

    entity: str
    project: str
    group: str | None

    @classmethod
    def of(cls, text: str) -> RunsAddress:
        """Raises SynthgenError."""
        found = RUNS.fullmatch(text)
        if found is None:
            raise SynthgenError(
                f"{text} is no address of runs in W&B.\nWrite wandb:ENTITY/PROJECT, or "
                "wandb:ENTITY/PROJECT/GROUP for the runs of one group."
            )
        return cls(*found.groups())


@dataclass
class DownloadedRun:
    """A run of the service; what is asked for is downloaded to ``folder``."""

    run: RemoteRun
    folder: Path
    place: str
    config: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.config = flatten(dict(self.run.config))

    @property
    def id(self) -> str:
        return str(self.run.id)

    @property
    def job_type(self) -> str:
        return self.run.job_type or ""

    @property
    def group(self) -> str:
        return self.run.group or ""

    def report(self) -> Path | None:
        """The public form of its report."""
        with told_in_a_sentence(self.place):
            for artifact in self.run.logged_artifacts():
                if artifact.type == "report":
                    artifact.get_entry(PUBLIC_REPORT).download(str(self.folder))
                    path = self.folder / PUBLIC_REPORT
                    return path if path.is_file() else None
        return None

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """A flat row per moment."""
        with told_in_a_sentence(self.place):
            return [flatten(dict(row)) for row in self.run.scan_history()]

    def picture(self, name: str) -> Path | None:
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            return None
        with told_in_a_sentence(self.place):
            self.run.file(name).download(str(self.folder), replace=True)
        return path if path.is_file() else None


@contextmanager
def downloaded_runs(text: str, client: Client) -> Iterator[list[DownloadedRun]]:
    """The runs at an address; what is downloaded of them is gone afterwards."""
    address = RunsAddress.of(text)
    filters = {} if address.group is None else {"group": address.group}
    with tempfile.TemporaryDirectory(prefix="synthgen-") as scratch:
        with told_in_a_sentence(text):
            found = list(client.runs(f"{address.entity}/{address.project}", filters=filters))
        folders = [Path(scratch) / str(number) for number in range(len(found))]
        for folder in folders:
            folder.mkdir()
        yield [DownloadedRun(run, folder, text) for run, folder in zip(found, folders, strict=True)]


# Samplers.


def is_address(path: str | Path) -> bool:
    return str(path).startswith(SCHEME)


def version_of(text: str) -> str:
    """``ENTITY/PROJECT/NAME:VERSION``. Raises SynthgenError for another form."""
    found = ARTIFACT.fullmatch(text)
    if found is None:
        raise SynthgenError(
            f"{text} is no address of a sampler in W&B.\n"
            "Write wandb:ENTITY/PROJECT/NAME:VERSION, as in wandb:me/digits/run-sampler:v3."
        )
    return found[1]


def fetch_sampler(text: str, client: Client, into: Path) -> Path:
    """Download the sampler ``wandb:ENTITY/PROJECT/NAME:VERSION`` and check that it is whole.

    Args:
        into: a folder that keeps samplers by version; one that is there already, and whole, isn't
            downloaded again.

    Returns:
        The sampler's folder.

    Raises:
        SynthgenError: there is no such sampler, it lacks its weights, or its files are not those
            that were logged.
    """
    from synthgen.samplers.artifact import DESCRIPTION, WEIGHTS

    version = version_of(text)
    with told_in_a_sentence(text):
        artifact = client.artifact(version)
        sha256 = str(artifact.metadata.get("sha256", ""))
        if artifact.type != "sampler" or not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise SynthgenError(f"{text} is no sampler that synthgen logged.\nName another one.")
        folder = into / sha256[:16] / "sampler"
        for name in (DESCRIPTION, WEIGHTS):
            if not (folder / name).is_file():
                _download(artifact, name, folder, text)
    try:
        _require_logged(folder, sha256, text)
    except SynthgenError:
        for name in (DESCRIPTION, WEIGHTS):
            (folder / name).unlink(missing_ok=True)
        raise
    remember_name(folder.parent, sha256, version)
    return folder


def _require_logged(folder: Path, sha256: str, text: str) -> None:
    """Raises SynthgenError unless the files are those whose fingerprint the artifact has."""
    from synthgen.samplers.artifact import WEIGHTS, read_description

    described = read_description(folder)
    if described.sha256 != sha256 or file_digest(folder / WEIGHTS) != described.weights_sha256:
        raise SynthgenError(
            f"{text} is not the sampler that was logged (its SHA-256 differs).\n"
            "Try again, or name another version."
        )


@contextmanager
def kept_samplers(environ: Mapping[str, str]) -> Iterator[Path]:
    """Where downloaded samplers are kept: the person's cache folder, or, where nothing can be
    written there, a folder that is gone afterwards."""
    place = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "synthgen" / "samplers"
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError:
        log.info("%s can't be written: the sampler is downloaded for this time only.", place)
        with tempfile.TemporaryDirectory(prefix="synthgen-") as scratch:
            yield Path(scratch)
    else:
        yield place


@contextmanager
def local_samplers(given: Sequence[str]) -> Iterator[list[str]]:
    """Paths of samplers, those in W&B (``wandb:…``) downloaded."""
    if not any(map(is_address, given)):
        yield list(given)
        return
    for one in filter(is_address, given):
        version_of(one)
    client = open_client()
    with kept_samplers(os.environ) as place:
        yield [str(fetch_sampler(one, client, place)) if is_address(one) else one for one in given]


def _download(artifact: RemoteArtifact, name: str, folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as scratch:
        try:
            artifact.get_entry(name).download(scratch)
        except KeyError:
            raise SynthgenError(
                f"{text} has no {name}: weights that are real images stay where they were made.\n"
                "Copy the sampler itself."
            ) from None
        (Path(scratch) / name).replace(folder / name)
