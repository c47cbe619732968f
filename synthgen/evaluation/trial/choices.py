"""What the holdout chooses; the test split is not looked at here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from synthgen.data.splits import Splits
from synthgen.evaluation.judges.base import HOLDOUT
from synthgen.evaluation.scores import Criterion, value_of
from synthgen.evaluation.trial.arms import AUGMENTED
from synthgen.evaluation.trial.school import Trained


@dataclass(frozen=True)
class Choices:
    """What the holdout chose, by the mean over seeds."""

    ratio: float
    augmentation: str | None  # the name of its strength
    tied_ratios: int = 1  # that were as good on the holdout, the chosen one among them
    tied_augmentations: int = 1


def choose(
    arms: Mapping[str, Trained], score: Criterion, splits: Splits, augmentations: Sequence[str]
) -> Choices:
    """The ratio and the strength of augmentation with the best mean holdout score; of equals the
    first, which is the least."""
    ratios = {
        trained.arm.ratio: holdout_score(trained, score, splits)
        for trained in arms.values()
        if trained.arm.kind == "combined" and trained.arm.ratio is not None
    }
    strengths = {
        name: holdout_score(arms[f"{AUGMENTED}_{name}"], score, splits)
        for name in augmentations
        if f"{AUGMENTED}_{name}" in arms
    }
    return Choices(
        ratio=max(ratios, key=ratios.__getitem__),
        augmentation=max(strengths, key=strengths.__getitem__) if strengths else None,
        tied_ratios=tied(list(ratios.values())),
        tied_augmentations=tied(list(strengths.values())),
    )


def tied(scores: Sequence[float]) -> int:
    """How many share the best score."""
    return sum(score == max(scores) for score in scores)


def holdout_score(trained: Trained, score: Criterion, splits: Splits) -> float:
    """Mean over seeds on the holdout, of what is chosen by."""
    holdout = splits.holdout
    values = [
        value_of(score, holdout.labels, answers, len(holdout.classes))
        for answers in trained.answers(HOLDOUT)
    ]
    return float(torch.stack(values).mean())
