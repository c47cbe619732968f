"""What a trial is decided on: one number per confusion matrix, declared before it begins."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.evaluation.scores import SCORES, Score, class_recall
from synthgen.types import LabelledImages

TAIL_RECALL = "tail_recall"
ENDPOINTS = (*SCORES, TAIL_RECALL)
TAIL_SHARE = 0.5  # a class with at most half as many images as the median class is rare


def endpoint_score(name: str, tail: Sequence[int]) -> Score:
    """The score called ``name``. ``tail`` are the labels whose recall ``tail_recall`` averages."""
    if name == TAIL_RECALL:
        if not tail:
            raise SynthgenError(
                "The endpoint tail_recall needs rare classes, but the training images have none.\n"
                "Name them with trial.tail=[CLASS, ...], or use trial.endpoint=macro_f1."
            )
        return mean_recall_of(tail)
    if name not in SCORES:
        raise SynthgenError(
            f"trial.endpoint is {name!r}, which is unknown.\nUse one of {', '.join(ENDPOINTS)}."
        )
    return SCORES[name]


def images_of_endpoint(name: str, tail: Sequence[int], labels: Tensor) -> Tensor | None:
    """bool ``(n,)``: the test images that ``endpoint_score(name, tail)`` rests on; None: all."""
    return torch.isin(labels, torch.tensor(list(tail))) if name == TAIL_RECALL else None


def mean_recall_of(labels: Sequence[int]) -> Score:
    """Unweighted mean recall of some classes; 0 for one without test images."""
    chosen = list(labels)

    def score(matrix: Tensor) -> Tensor:
        return class_recall(matrix)[..., chosen].mean(-1)

    return score


def tail_labels(real_train: LabelledImages, names: Sequence[str] | None) -> list[int]:
    """The labels called ``names``; without names those with at most half as many training images
    as the median class."""
    if names is not None:
        unknown = [name for name in names if name not in real_train.classes]
        if unknown:
            raise SynthgenError(
                f"trial.tail names {', '.join(unknown)}, which the data does not have.\n"
                f"Its classes are {', '.join(real_train.classes[:20])}."
            )
        return [real_train.classes.index(name) for name in names]
    counts = real_train.counts
    median = sorted(counts)[len(counts) // 2]
    return [label for label, count in enumerate(counts) if count <= TAIL_SHARE * median]
