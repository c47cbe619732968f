"""Offline W&B runs, read without W&B's service: what a ``run-ID.wandb`` file records.

The file is a LevelDB log (blocks of 32 KiB; checksum, length and kind before each fragment of a
record) after a header of seven bytes; the records are W&B's own protocol buffers. A run that was
resumed has a file for each time.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgen.errors import SynthgenError
from synthgen.tracking.lineage import PUBLIC_REPORT

BLOCK = 32 * 1024
HEADER = b":W&B"
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
MOST = 2**28  # bytes of one record; ours are far smaller


@dataclass
class RecordedRun:
    """What the files of one run say. ``artifacts`` maps kinds to the files of what was made,
    ``history`` has a flat row per moment."""

    id: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    artifacts: dict[str, dict[str, Path]] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)  # names of the artifacts that went in
    folders: list[Path] = field(default_factory=list)  # offline-run-…, oldest first

    @property
    def place(self) -> str:
        return str(self.folders[-1])

    def report(self) -> Path | None:
        """The public form of its report, if it is still beside it."""
        path = self.artifacts.get("report", {}).get(PUBLIC_REPORT)
        return path if path is not None and path.is_file() else None

    def picture(self, name: str) -> Path | None:
        """A picture by the name that the history has for it."""
        found = [within(folder / "files", name) for folder in self.folders]
        return next((path for path in found if path is not None and path.is_file()), None)


def read_run(folders: Sequence[Path]) -> RecordedRun:
    """The run whose ``offline-run-…`` folders these are, oldest first.

    Raises:
        SynthgenError: a file is missing or damaged, or W&B isn't installed.
    """
    run = RecordedRun()
    for folder in sorted(folders, key=lambda one: one.name):
        found = sorted(folder.glob("*.wandb"))
        if not found:
            raise SynthgenError(
                f"{folder} holds no run of W&B's (no .wandb file).\n"
                "Name a folder that wandb wrote: wandb/offline-run-…"
            )
        run.folders.append(folder)
        for payload in payloads(found[0]):
            _take(run, payload, found[0])
    return run


def payloads(path: Path) -> Iterator[bytes]:
    """The records of a file. One that was cut short, as by a killed process, ends there. Raises
    SynthgenError for a file of another kind and for a wrong checksum."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SynthgenError(f"{path} can't be read: {error.strerror}.") from error
    if not content.startswith(HEADER):
        raise SynthgenError(f"{path} is no record of a W&B run.\nName another folder.")
    place, pending = 7, b""
    while place + 7 <= len(content):
        if BLOCK - place % BLOCK < 7:  # too little for a header: the rest of a block is empty
            place += BLOCK - place % BLOCK
            continue
        checksum, length, kind = struct.unpack_from("<IHB", content, place)
        fragment = content[place + 7 : place + 7 + length]
        if len(fragment) < length or not FULL <= kind <= LAST:
            return
        if zlib.crc32(bytes([kind]) + fragment) != checksum:
            raise SynthgenError(
                f"{path} is damaged at byte {place:,} (wrong checksum).\nCopy it again."
            )
        place += 7 + length
        pending = fragment if kind in (FULL, FIRST) else pending + fragment
        if kind in (FULL, LAST):
            yield pending


def _take(run: RecordedRun, payload: bytes, path: Path) -> None:
    record = _parsed(payload, path)
    kind = record.WhichOneof("record_type")
    if kind == "run":
        told = record.run
        run.id, run.project, run.group = told.run_id, told.project, told.run_group
        run.job_type, run.name = told.job_type, told.display_name
        run.config |= _items(told.config.update)
    elif kind == "config":
        run.config |= _items(record.config.update)
    elif kind == "summary":
        run.summary |= _items(record.summary.update)
    elif kind == "history":
        run.history.append(_items(record.history.item))
    elif kind == "artifact":
        _take_artifact(run, record.artifact, path.parent.parent.parent)


def _take_artifact(run: RecordedRun, artifact: Any, root: Path) -> None:
    if artifact.use_after_commit:
        run.used.append(artifact.name)
        return
    # Relative ones are from the folder that holds wandb/, where ``wandb sync`` runs.
    files = {one.path: within(root, one.local_path) for one in artifact.manifest.contents}
    run.artifacts[artifact.type] = {name: path for name, path in files.items() if path is not None}


def within(root: Path, name: str) -> Path | None:
    """The file of that name, if it lies in ``root``: a record may come from anybody."""
    path = (root / name).resolve()
    return path if name and path.is_relative_to(root.resolve()) else None


def _items(items: Any) -> dict[str, Any]:
    """Names (nested ones with dots between) and values; damaged values are left out."""
    found: dict[str, Any] = {}
    for item in items:
        name = ".".join(item.nested_key) or item.key
        try:
            found[name] = json.loads(item.value_json)
        except ValueError:
            continue
    return found


def _parsed(payload: bytes, path: Path) -> Any:
    try:
        from wandb.proto import wandb_internal_pb2
    except ImportError as error:
        raise SynthgenError(
            "Reading runs of W&B's needs its package.\nInstall it: pip install wandb"
        ) from error
    from google.protobuf.message import DecodeError

    records: Any = wandb_internal_pb2
    try:
        return records.Record.FromString(payload)
    except DecodeError as error:
        raise SynthgenError(f"{path} is damaged: {error}.\nCopy it again.") from error


def offline_runs(places: Sequence[Path]) -> list[RecordedRun]:
    """The runs in ``offline-run-…`` folders, or in folders ``wandb`` that hold such; the parts of
    one that was resumed are one."""
    folders = [
        folder
        for place in places
        for folder in ([place] if is_offline_run(place) else sorted(place.glob("offline-run-*")))
    ]
    by_id: dict[str, list[Path]] = {}
    for folder in dict.fromkeys(one.absolute() for one in folders):
        by_id.setdefault(folder.name.split("-")[3], []).append(folder)
    return [read_run(own) for own in by_id.values()]


def is_offline_run(folder: Path) -> bool:
    return folder.name.startswith("offline-run-") and folder.name.count("-") >= 3


def holds_offline_runs(folder: Path) -> bool:
    """Whether it is one, or a folder ``wandb`` that holds some."""
    return is_offline_run(folder) or any(folder.glob("offline-run-*"))
