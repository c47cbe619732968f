"""Training the arms: the same classifier, steps and seeds for all; finished ones are kept on
disk."""

from __future__ import annotations

import glob
import hashlib
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.evaluation.classifiers.base import (
    HOLDOUT,
    Classifier,
    ClassifierRequest,
    Predictions,
    TrainingRecipe,
    examined,
)
from synthgen.evaluation.classifiers.scores import Criterion
from synthgen.evaluation.trial.arms import Arm
from synthgen.evaluation.trial.corrections import Correction, logit_adjustment
from synthgen.io import canonical_digest, readable_os_errors, write_bytes
from synthgen.progress import track
from synthgen.schema import Schema
from synthgen.types import LabelledImages

# Finished trainings on disk, so that a trial killed half-way goes on where it stopped.

SUFFIX = ".training"
ANSWERS = "answers/"
CHECKSUM = 32  # bytes of SHA-256 before the arrays


class TrialStore:
    """A file per finished training (SHA-256, then an ``.npz``), hidden beside the report to be.

    The folder's name holds a digest of ``identity``: a trial with other settings never reads these
    files. Nothing in them is unpickled, and
    a damaged file is a training that has not been done.
    """

    def __init__(self, report: Path, identity: Schema) -> None:
        report = Path(report).absolute()
        self.folder = (
            report.parent / f".{report.name}.trial-{canonical_digest(identity.to_json())[:12]}"
        )

    def read(self, arm: str, repetition: int, sizes: Mapping[str, int]) -> Predictions | None:
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

    def write(self, arm: str, repetition: int, examination: Predictions) -> None:
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


def _packed(examination: Predictions) -> dict[str, Any]:
    packed: dict[str, Any] = {
        ANSWERS + name: answers.numpy().astype(np.float16)
        for name, answers in examination.answers.items()
    }
    packed["curve"] = np.array(examination.curve, dtype=np.float64).reshape(-1, 2)
    packed["chosen_step"] = np.array(examination.chosen_step)
    packed["seconds"] = np.array(examination.seconds)
    return packed


def _unpacked(stored: NpzFile) -> Predictions:
    return Predictions(
        answers={
            name.removeprefix(ANSWERS): torch.from_numpy(stored[name])
            for name in stored.files
            if name.startswith(ANSWERS)
        },
        curve=[(int(step), float(score)) for step, score in stored["curve"]],
        chosen_step=int(stored["chosen_step"]),
        seconds=float(stored["seconds"]),
    )


@dataclass(frozen=True)
class Trained:
    """An arm with what its classifiers said, one examination per repetition."""

    arm: Arm
    examinations: list[Predictions]

    def predictions(self, exam: str) -> list[Tensor]:
        return [examination.predictions[exam] for examination in self.examinations]

    def answers(self, exam: str) -> list[Tensor]:
        return [examination.answers[exam] for examination in self.examinations]


@dataclass(frozen=True)
class ArmRunner:
    """Trains arms: what is the same for all of them."""

    classifier: Classifier
    splits: Splits
    exams: dict[str, Tensor]
    steps: int
    seeds: list[int]
    score: Criterion
    store: TrialStore | None

    def teach(self, arms: Sequence[Arm], part: str) -> dict[str, Trained]:
        """Every arm with every seed, seed by seed: one repetition's synthetic images are shared by
        its arms and then forgotten. ``part`` names them beside the progress bar."""
        found: dict[str, list[Predictions]] = {arm.name: [] for arm in arms}
        total = len(arms) * len(self.seeds)
        with track(total, f"Trial, {part}", unit="trainings") as advance:
            for repetition in range(len(self.seeds)):
                for arm, examination in self._repetition(arms, repetition):
                    found[arm.name].append(examination)
                    advance(1)
        return {arm.name: Trained(arm, found[arm.name]) for arm in arms}

    def _repetition(
        self, arms: Sequence[Arm], repetition: int
    ) -> Iterable[tuple[Arm, Predictions]]:
        """What is stored comes first, then each training as it is done."""
        missing = []
        for arm in arms:
            known = self._stored(arm, repetition)
            if known is None:
                missing.append(arm)
            else:
                yield arm, known
        for first in range(0, len(missing), self.classifier.requests_at_once):
            some = missing[first : first + self.classifier.requests_at_once]
            for arm, made in zip(some, self._examine(some, repetition), strict=True):
                if self.store is not None:
                    self.store.write(arm.name, repetition, made)
                yield arm, made

    def _stored(self, arm: Arm, repetition: int) -> Predictions | None:
        if self.store is None:
            return None
        asked = {**self.exams, HOLDOUT: self.splits.holdout.images}
        return self.store.read(arm.name, repetition, {name: len(e) for name, e in asked.items()})

    def _examine(self, arms: Sequence[Arm], repetition: int) -> list[Predictions]:
        return examined(
            self.classifier,
            [
                ClassifierRequest(
                    recipe=arm.recipe(repetition),
                    seed=self.seeds[repetition],
                    steps=self.steps,
                    holdout=self.splits.holdout,
                    exams=self.exams,
                    score=self.score,
                    description=arm.label,
                )
                for arm in arms
            ],
        )


def corrected(arm: Arm, correction: Correction) -> Arm:
    """The same arm, with its answers corrected for the classes' shares in its own images."""
    if correction == "none":
        return arm

    def recipe(repetition: int) -> TrainingRecipe:
        given = arm.recipe(repetition)
        return replace(given, offsets=logit_adjustment(given))

    return replace(arm, recipe=recipe)


def possible_arms(
    classifier: Classifier, arms: Sequence[Arm], real: LabelledImages
) -> tuple[list[Arm], dict[str, str]]:
    """The arms that this classifier can be trained on, and a reason for each of the others."""

    def why_not(arm: Arm) -> str | None:
        recipe = arm.recipe(0)
        return lacking_sentence(recipe.data, real) or classifier.why_not(recipe)

    reasons = {arm.name: why_not(arm) for arm in arms}
    return (
        [arm for arm in arms if reasons[arm.name] is None],
        {name: reason for name, reason in reasons.items() if reason is not None},
    )


def lacking(images: LabelledImages, real: LabelledImages) -> list[str]:
    """Classes that the real images have and these don't."""
    counts = zip(real.classes, images.counts, real.counts, strict=True)
    return [name for name, mine, theirs in counts if theirs and not mine]


def lacking_sentence(images: LabelledImages, real: LabelledImages) -> str | None:
    """Why a classifier isn't trained on images of some of the classes alone."""
    names = lacking(images, real)
    if not names:
        return None
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"its images show no {shown}, so a classifier of them alone could never say so"
