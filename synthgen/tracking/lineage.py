"""What stages hand each other, by fingerprint: real data -> sampler -> set -> report -> comparison.

A stage logs what it made and names what it used. Both sides build the piece from the same files, so
that W&B, which tells artifacts of one name apart by their content, sees one artifact: online at
once, and of offline runs when they are synced, in any order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from synthgen.dataset import DESCRIPTION, MANIFEST
from synthgen.errors import SynthgenError
from synthgen.io import parse_json, write_json

if TYPE_CHECKING:
    from synthgen.evaluation.report.schema import Comparison, Report

PieceKind = Literal["data", "sampler", "dataset", "report", "comparison"]
PUBLIC_REPORT, TABLE = "report.public.json", "comparison.csv"
SHOWN = 16  # digits of a fingerprint in names and aliases
NOTES = Path("wandb") / "tracked.json"  # in the folder that holds wandb/
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9._/:-]{1,300}")


@dataclass(frozen=True)
class Piece:
    """One thing that stages hand each other.

    ``files`` are those of its files that may leave the machine, ``made`` small ones that exist
    nowhere else, by name; ``near`` is the folder whose ``wandb/`` knows its name.
    """

    kind: PieceKind
    fingerprint: str  # SHA-256
    files: tuple[Path, ...] = ()
    made: Mapping[str, bytes] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    near: Path | None = None

    @property
    def alias(self) -> str:
        """How it can be asked for, whatever its version: ``NAME:sha256-0123456789abcdef``."""
        return f"sha256-{self.fingerprint[:SHOWN]}"

    @property
    def common_name(self) -> str:
        """What it is called where nobody knows better."""
        return f"{self.kind}-{self.fingerprint[:SHOWN]}"


def data_piece(digest: str) -> Piece:
    """Real images: that they were these, and nothing of them."""
    content = json.dumps({"digest": digest}).encode()
    return Piece("data", digest, made={"data.json": content}, metadata={"sha256": digest})


def sampler_piece(folder: Path) -> Piece:
    """sampler.json and weights.safetensors; only the former where the weights are real images."""
    from synthgen.samplers.artifact import DESCRIPTION as SAMPLER  # with torch
    from synthgen.samplers.artifact import WEIGHTS, read_description

    folder = Path(folder)
    described = read_description(folder)
    files = (folder / SAMPLER, *(() if described.exposes_real else (folder / WEIGHTS,)))
    metadata = {"sha256": described.sha256, "image": described.image.to_json()}
    near = folder.absolute().parent
    return Piece("sampler", described.sha256, files, metadata=metadata, near=near)


def dataset_piece(folder: Path) -> Piece:
    """What a set says of itself, and which image has which seed; of copies of real images only the
    former: the manifest's hashes would tell who was trained on."""
    from synthgen.dataset.schema import Dataset

    folder = Path(folder)
    described = Dataset.read(folder / DESCRIPTION)
    files = (folder / DESCRIPTION, *(() if described.exposes_real else (folder / MANIFEST,)))
    metadata = {"sha256": described.digest}
    near = folder.absolute().parent
    return Piece("dataset", described.digest, files, metadata=metadata, near=near)


def dataset_behind(report: Report) -> Piece | None:
    """The set that was evaluated, if it is one of ours and still lies where it lay."""
    folder, digest = Path(report.provenance.synthetic.path), evaluated_set(report)
    try:
        piece = dataset_piece(folder) if (folder / DESCRIPTION).is_file() else None
    except (SynthgenError, OSError):
        return None
    return piece if piece is not None and piece.fingerprint == digest else None


def evaluated_set(report: Report) -> str:
    """The fingerprint of the set that was evaluated: its own, or that of its images."""
    synthetic = report.provenance.synthetic
    described = synthetic.dataset or {}
    own = described.get("digest")
    return own if isinstance(own, str) else synthetic.digest


def sampler_behind(report: Report) -> str | None:
    """The fingerprint of the only sampler that drew the set that was evaluated."""
    about = (report.provenance.synthetic.dataset or {}).get("sampler")
    found = about.get("sha256") if isinstance(about, dict) else None
    return found if isinstance(found, str) else None


def report_piece(report: Report, folder: Path) -> Piece:
    """The public form of a report."""
    from synthgen.io import file_digest

    path = Path(folder) / PUBLIC_REPORT
    near = Path(folder).absolute().parent
    metadata = {"created": report.created}
    return Piece("report", file_digest(path), (path,), metadata=metadata, near=near)


def comparison_piece(comparison: Comparison, folder: Path) -> Piece:
    from synthgen.io import file_digest

    path = Path(folder) / TABLE
    return Piece("comparison", file_digest(path), (path,), metadata={"runs": comparison.names})


# What a folder's wandb/ remembers: the run that a resumed training goes on with, and under which
# names its pieces were logged.


def remembered_run(root: Path) -> str | None:
    """The id of the training's W&B run, or None."""
    found = _notes(root).get("train")
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def remember_run(root: Path, run_id: str) -> None:
    _note(root, {"train": run_id})


def remembered_name(piece: Piece) -> str | None:
    """``NAME``, or ``ENTITY/PROJECT/NAME:VERSION`` of one that was fetched from W&B."""
    names = _notes(piece.near).get("artifacts") if piece.near else None
    found = names.get(piece.fingerprint) if isinstance(names, dict) else None
    return found if isinstance(found, str) and _NAME.fullmatch(found) else None


def remember_name(root: Path, fingerprint: str, name: str) -> None:
    names = _notes(root).get("artifacts")
    known = names if isinstance(names, dict) else {}
    _note(root, {"artifacts": {**known, fingerprint: name}})


def _notes(root: Path) -> dict[str, Any]:
    """Whatever can be read: a damaged note costs a name, not a stage."""
    try:
        found = parse_json((Path(root) / NOTES).read_bytes())
    except (OSError, ValueError, SynthgenError):
        return {}
    return found if isinstance(found, dict) else {}


def _note(root: Path, more: Mapping[str, Any]) -> None:
    path = Path(root) / NOTES
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**_notes(root), **more})
