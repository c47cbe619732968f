"""Finished trainings on disk, so that a trial killed half-way goes on where it stopped."""

from __future__ import annotations

import glob
import hashlib
import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthgen.evaluation.judges.base import Examination
from synthgen.paths import canonical_digest, readable_os_errors, write_bytes

SUFFIX = ".training"
ANSWERS = "answers/"
CHECKSUM = 32  # bytes of SHA-256 before the arrays


class TrialStore:
    """A file per finished training (SHA-256, then an ``.npz``), hidden beside the report to be.

    The folder's name holds a digest of ``identity`` (plain JSON: data, synthetic images, judge,
    options): a trial with other settings never reads these files. Nothing in them is unpickled, and
    a damaged file is a training that has not been done.
    """

    def __init__(self, report: Path, identity: dict[str, Any]) -> None:
        report = Path(report).absolute()
        self.folder = report.parent / f".{report.name}.trial-{canonical_digest(identity)[:12]}"

    def read(self, arm: str, repetition: int, sizes: Mapping[str, int]) -> Examination | None:
        """A finished training, or None. ``sizes``: the number of images in each of its exams."""
        try:
            stored = self._path(arm, repetition).read_bytes()
        except FileNotFoundError:
            return None
        checksum, arrays = stored[:CHECKSUM], stored[CHECKSUM:]
        if hashlib.sha256(arrays).digest() != checksum:
            return None
        found = _unpacked(np.load(io.BytesIO(arrays), allow_pickle=False))
        answered = {name: len(answers) for name, answers in found.answers.items()}
        return found if answered == dict(sizes) else None

    def write(self, arm: str, repetition: int, examination: Examination) -> None:
        with readable_os_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.savez_compressed(content, **_packed(examination))
        arrays = content.getvalue()
        write_bytes(self._path(arm, repetition), hashlib.sha256(arrays).digest() + arrays)

    def __len__(self) -> int:
        """Finished trainings, damaged files among them."""
        return len(list(self.folder.glob(f"*{SUFFIX}")))

    def others(self) -> list[Path]:
        """Folders of other trials of this report: of other settings, or another version's."""
        name = self.folder.name.rpartition("-")[0]
        found = self.folder.parent.glob(f"{glob.escape(name)}-*")
        return sorted(folder for folder in found if folder != self.folder)

    def kept(self) -> str:
        """What somebody should know who stops a trial."""
        if not len(self):
            return "No training of the trial was finished."
        return (
            f"Finished trainings of the trial, kept in {self.folder}: {len(self)}. "
            "The same command goes on from there."
        )

    def remove(self) -> None:
        """Once the report is written; what was found is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, arm: str, repetition: int) -> Path:
        return self.folder / f"{arm}-{repetition}{SUFFIX}"


def _packed(examination: Examination) -> dict[str, Any]:
    packed: dict[str, Any] = {
        ANSWERS + name: answers.numpy().astype(np.float16)
        for name, answers in examination.answers.items()
    }
    packed["curve"] = np.array(examination.curve, dtype=np.float64).reshape(-1, 2)
    packed["chosen_step"] = np.array(examination.chosen_step)
    packed["seconds"] = np.array(examination.seconds)
    return packed


def _unpacked(stored: Any) -> Examination:
    return Examination(
        answers={
            name.removeprefix(ANSWERS): torch.from_numpy(stored[name])
            for name in stored.files
            if name.startswith(ANSWERS)
        },
        curve=[(int(step), float(score)) for step, score in stored["curve"]],
        chosen_step=int(stored["chosen_step"]),
        seconds=float(stored["seconds"]),
    )
