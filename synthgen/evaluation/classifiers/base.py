"""A kind of classifier that is trained by a recipe and asked about real images; and how it does
on the holdout while it learns."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers.scores import Criterion, accuracy, said, value_of
from synthgen.evaluation.schema import ClassifierDescription
from synthgen.types import LabelledImages, spread_by_class

# How long a classifier trains when nobody says.

FEWEST, MOST = 400, 2000
PASSES = 40


def automatic_steps(images: int, batch_size: int) -> int:
    """Forty passes over the real training images, but 400 steps at least and 2,000 at most.

    Chosen from the real training split alone and then the same for every arm, so that no arm trains
    longer than another.
    """
    return max(FEWEST, min(MOST, images * PASSES // batch_size))


CURVE_POINTS = 8
CURVE_IMAGES = 2000  # of the holdout, so that looking costs little beside training


def moments_of(steps: int) -> list[int]:
    """The steps after which the holdout is looked at, evenly spread; the last is always one."""
    return sorted({round(steps * (i + 1) / CURVE_POINTS) for i in range(CURVE_POINTS)} - {0})


class EarlyStopping:
    """The curve of one training. Without a score every moment replaces the one before."""

    def __init__(self, labels: Tensor, classes: int, score: Criterion | None) -> None:
        self.labels, self.classes, self.score = labels, classes, score
        self.curve: list[tuple[int, float]] = []
        self.chosen_step = 0
        self.best = -math.inf

    def see(self, step: int, answers: Tensor) -> bool:
        """Note the moment, from int64 ``(N,)`` labels or float ``(N, K)`` log-probabilities;
        whether it is the one to keep so far (the later of equals)."""
        value = float(value_of(self.score or accuracy, self.labels, answers, self.classes))
        self.curve.append((step, value))
        rank = -math.inf if math.isnan(value) else value
        if self.score is not None and rank < self.best:
            return False
        self.best, self.chosen_step = rank, step
        return True


Augment = Callable[[Tensor, torch.Generator], Tensor]
"""One batch of uint8 ``(N, C, H, W)`` and the randomness of its step -> as many images, alike."""

HOLDOUT = "holdout"  # the exam that every classifier takes beside those that it is given


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """What a classifier learns from, and how. Arms of a trial differ in this alone.

    Attributes:
        data: the images; each is seen equally often unless ``sampling_weights`` says otherwise.
        sampling_weights: float32 ``(N,)``, how often each image is drawn relative to the others.
        class_weights: float32 ``(K,)``, factors on the loss of each true class.
        augment: changes each training batch; never an examined image.
        mixup: alpha of the Beta distribution that images and labels are mixed by (Zhang et al.
            2018); 0 mixes nothing.
        pretrain: learned from during the first half of the steps, ``data`` during the second; the
            number of steps stays the same.
        offsets: float32 ``(K,)``, added to the log-probabilities of all that the classifier says
            (post-hoc logit adjustment, Menon et al. 2021); changes nothing of what is learned.
    """

    data: LabelledImages
    sampling_weights: Tensor | None = None
    class_weights: Tensor | None = None
    augment: Augment | None = None
    mixup: float = 0.0
    pretrain: LabelledImages | None = None
    offsets: Tensor | None = None


@dataclass(frozen=True)
class Predictions:
    """What one trained classifier said.

    Attributes:
        answers: per exam float16 ``(N, K)`` log-probabilities, of the classifier as it was at
            ``chosen_step``; see :func:`answers_of`. ``"holdout"`` is always there.
        curve: (step, score on the holdout) during training; accuracy unless a score was given.
        chosen_step: the last step, or the best one on the holdout if a score was given.
        seconds: wall-clock time of training and predicting.
    """

    answers: dict[str, Tensor]
    curve: list[tuple[int, float]]
    chosen_step: int
    seconds: float

    @cached_property
    def predictions(self) -> dict[str, Tensor]:
        """Per exam int64 ``(N,)`` labels."""
        return {exam: said(answers) for exam, answers in self.answers.items()}


def mean_curve(examinations: Sequence[Predictions]) -> list[tuple[int, float]]:
    """(step, mean over seeds) of the curves of one arm, which have their steps in common."""
    curves = [examination.curve for examination in examinations]
    return [
        (points[0][0], sum(value for _, value in points) / len(points))
        for points in zip(*curves, strict=True)
    ]


def answers_of(logits: Tensor, offsets: Tensor | None = None) -> Tensor:
    """float ``(N, K)`` logits on any device -> float16 log-probabilities on the CPU, with a
    recipe's ``offsets``. Half precision keeps log-probabilities near 0 apart down to 6e-8; what is
    scored is what is stored. Raises SynthgenError if a training diverged: for NaN, and for
    log-probabilities that half precision can't hold, below -65,504."""
    found = logits.float().log_softmax(-1)
    if offsets is not None:
        found = (found + offsets.to(found.device)).log_softmax(-1)
    answers = found.half().cpu()
    if not answers.isfinite().all():
        raise diverged()
    return answers


def diverged() -> SynthgenError:
    """Of a classifier whose weights or answers are no longer finite: it would be a result of
    nothing."""
    return SynthgenError(
        "The training of a classifier diverged: what it says is no longer a finite number.\n"
        "Lower its learning rate (judge.learning_rate, or extractor.classifier.learning_rate)."
    )


@dataclass(frozen=True, kw_only=True)
class ClassifierRequest:
    """One training, and what the classifier is asked afterwards.

    Attributes:
        recipe: what is learned from, and how; all that is learned from.
        seed: of the initial weights, the order and the augmentation.
        steps: optimizer steps, as by :meth:`Classifier.steps_for`.
        holdout: real images for the curve; predicted in the end as the exam ``"holdout"``.
        exams: per name uint8 ``(N, C, H, W)`` images, predicted once.
        score: higher is better. With it the classifier of the best holdout score among the curve's
            moments takes the exams, the later one of equals; without, the last.
        description: stands beside the progress bar.
    """

    recipe: TrainingRecipe
    seed: int
    steps: int
    holdout: LabelledImages
    exams: Mapping[str, Tensor]
    score: Criterion | None = None
    description: str = "classifier"

    @property
    def asked(self) -> dict[str, Tensor]:
        """Per exam, ``"holdout"`` among them, uint8 ``(N, C, H, W)``."""
        return {**self.exams, HOLDOUT: self.holdout.images}

    @cached_property
    def looked_at(self) -> LabelledImages:
        """The holdout's images for the curve: a curve is only looked at, so 2,000 will do; a choice
        rests on all there is."""
        return spread_by_class(self.holdout, CURVE_IMAGES) if self.score is None else self.holdout

    def early_stopping(self) -> EarlyStopping:
        """A fresh curve, of :attr:`looked_at`."""
        return EarlyStopping(self.looked_at.labels, len(self.holdout.classes), self.score)


class Classifier(ABC):
    """Trains one classifier per request.

    The outcome depends on the request, the options and the hardware alone; the same seed gives the
    same initial weights for every recipe.

    Attributes:
        name: stands beside every result.
        steps: optimizer steps, equal for all arms; None: by the number of real images.
        requests_at_once: how many trainings gain from being done together.
    """

    name: str
    batch_size: int
    steps: int | None
    requests_at_once: ClassVar[int] = 1

    def steps_for(self, real_train: LabelledImages) -> int:
        """The number of steps of every arm, from the real training split alone."""
        return self.steps or automatic_steps(len(real_train), self.batch_size)

    def why_not(self, recipe: TrainingRecipe) -> str | None:
        """A sentence about what of the recipe this classifier can't follow; None: it can."""
        return None

    @abstractmethod
    def examine(self, request: ClassifierRequest) -> Predictions:
        """Train by the recipe alone, then predict each exam and the holdout once.

        Returns:
            float16 log-probabilities ``(N, K)`` by exam, and the curve of the training.

        Raises:
            SynthgenError: the training diverged, or the classifier can't follow the recipe.
        """

    def examine_all(self, requests: Sequence[ClassifierRequest]) -> list[Predictions]:
        """:meth:`examine` for each request, in order. A classifier may train them side by side; no
        outcome depends on the other requests, but for rounding."""
        return [self.examine(request) for request in requests]

    @abstractmethod
    def describe(self, steps: int) -> ClassifierDescription:
        """For the report's protocol."""


def examined(classifier: Classifier, requests: Sequence[ClassifierRequest]) -> list[Predictions]:
    """What ``classifier`` says to ``requests``, checked: a wrong shape would be a wrong score.

    Raises:
        SynthgenError: an exam is missing, or its answers are neither ``(N, K)`` nor ``(N,)``.
    """
    found = classifier.examine_all(requests)
    for request, one in zip(requests, found, strict=True):
        classes = len(request.recipe.data.classes)
        for exam, images in request.asked.items():
            answers, wanted = one.answers.get(exam), (len(images), classes)
            if answers is None or tuple(answers.shape) not in (wanted, wanted[:1]):
                given = "left out" if answers is None else f"of shape {tuple(answers.shape)}"
                raise SynthgenError(
                    f"The classifier {classifier.name} was asked for {wanted} log-probabilities "
                    f"in the exam {exam}; they are {given}.\n"
                    "answers_of(logits) makes them; Predictions says what they are."
                )
    return found
