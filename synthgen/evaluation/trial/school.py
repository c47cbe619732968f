"""Training the arms: the same classifier, steps and seeds for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.evaluation.judges.base import HOLDOUT, Examination, Job, Judge, Lesson
from synthgen.evaluation.scores import Criterion
from synthgen.evaluation.trial.arms import Arm
from synthgen.evaluation.trial.corrections import Correction, logit_adjustment
from synthgen.evaluation.trial.store import TrialStore
from synthgen.progress import track
from synthgen.types import LabelledImages


@dataclass(frozen=True)
class Trained:
    """An arm with what its classifiers said, one examination per repetition."""

    arm: Arm
    examinations: list[Examination]

    def predictions(self, exam: str) -> list[Tensor]:
        return [examination.predictions[exam] for examination in self.examinations]

    def answers(self, exam: str) -> list[Tensor]:
        return [examination.answers[exam] for examination in self.examinations]


@dataclass(frozen=True)
class School:
    """Trains arms: what is the same for all of them."""

    judge: Judge
    splits: Splits
    exams: dict[str, Tensor]
    steps: int
    seeds: list[int]
    score: Criterion
    store: TrialStore | None

    def teach(self, arms: Sequence[Arm], part: str) -> dict[str, Trained]:
        """Every arm with every seed, seed by seed: one repetition's synthetic images are shared by
        its arms and then forgotten. ``part`` names them beside the progress bar."""
        found: dict[str, list[Examination]] = {arm.name: [] for arm in arms}
        total = len(arms) * len(self.seeds)
        with track(total, f"Trial, {part}", unit="trainings") as advance:
            for repetition in range(len(self.seeds)):
                for arm, examination in self._repetition(arms, repetition):
                    found[arm.name].append(examination)
                    advance(1)
        return {arm.name: Trained(arm, found[arm.name]) for arm in arms}

    def _repetition(
        self, arms: Sequence[Arm], repetition: int
    ) -> Iterable[tuple[Arm, Examination]]:
        """What is stored comes first, then each training as it is done."""
        missing = []
        for arm in arms:
            known = self._stored(arm, repetition)
            if known is None:
                missing.append(arm)
            else:
                yield arm, known
        for first in range(0, len(missing), self.judge.jobs_at_once):
            some = missing[first : first + self.judge.jobs_at_once]
            for arm, made in zip(some, self._examine(some, repetition), strict=True):
                if self.store is not None:
                    self.store.write(arm.name, repetition, made)
                yield arm, made

    def _stored(self, arm: Arm, repetition: int) -> Examination | None:
        if self.store is None:
            return None
        asked = {**self.exams, HOLDOUT: self.splits.holdout.images}
        return self.store.read(arm.name, repetition, {name: len(e) for name, e in asked.items()})

    def _examine(self, arms: Sequence[Arm], repetition: int) -> list[Examination]:
        jobs = [Job(arm.lesson(repetition), self.seeds[repetition]) for arm in arms]
        return self.judge.examine_all(
            jobs,
            holdout=self.splits.holdout,
            exams=self.exams,
            steps=self.steps,
            score=self.score,
            description=arms[0].label,
        )


def corrected(arm: Arm, correction: Correction) -> Arm:
    """The same arm, with its answers corrected for the classes' shares in its own images."""
    if correction == "none":
        return arm

    def lesson(repetition: int) -> Lesson:
        given = arm.lesson(repetition)
        return replace(given, offsets=logit_adjustment(given))

    return replace(arm, lesson=lesson)


def possible_arms(
    judge: Judge, arms: Sequence[Arm], real: LabelledImages
) -> tuple[list[Arm], dict[str, str]]:
    """The arms that this judge can be trained on, and a reason for each of the others."""

    def why_not(arm: Arm) -> str | None:
        lesson = arm.lesson(0)
        return lacking_sentence(lesson.data, real) or judge.why_not(lesson)

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
