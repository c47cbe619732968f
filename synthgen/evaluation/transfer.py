"""Is a classifier trained on synthetic images any good on real ones? (Ravuri & Vinyals 2019)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from synthgen.evaluation.judges import Examination, Judge, Lesson
from synthgen.evaluation.result import Result, make_result
from synthgen.evaluation.scores import SCORES, confusion, recall_of, score_estimate
from synthgen.types import LabelledImages

ARMS = ("real_only", "synthetic_only", "real_and_synthetic")
MOST_IN_MATRIX = 100  # classes of a confusion matrix that is written with its zeros
JUDGE_SEEDS = 1_000_003  # keeps the judges' seeds apart from other seeds derived from the same one


def training_sets(real: LabelledImages, synthetic: LabelledImages) -> dict[str, LabelledImages]:
    """What each arm learns from: all real, all synthetic, all of both."""
    both = LabelledImages(
        torch.cat([real.images, synthetic.images]),
        torch.cat([real.labels, synthetic.labels]),
        real.classes,
    )
    return dict(zip(ARMS, (real, synthetic, both), strict=True))


def examine_arm(
    judge: Judge,
    data: LabelledImages,
    *,
    holdout: LabelledImages,
    test: LabelledImages,
    steps: int,
    seeds: Sequence[int],
    arm: str,
) -> list[Examination]:
    """One training per seed; the same seeds give all arms the same initial weights."""
    return [
        judge.examine(
            Lesson(data=data),
            holdout=holdout,
            exams={"test": test.images},
            steps=steps,
            seed=seed,
            description=f"{arm.replace('_', ' ')}, classifier {number}/{len(seeds)}",
        )
        for number, seed in enumerate(seeds, 1)
    ]


def judge_seeds(seed: int, count: int) -> list[int]:
    return [seed * JUDGE_SEEDS + number for number in range(count)]


def transfer_results(
    arm: str,
    examinations: Sequence[Examination],
    test: LabelledImages,
    *,
    classifier: str,
    n_fake: int,
    names: Sequence[str] = tuple(SCORES),
    groups: Tensor | None = None,
) -> list[Result]:
    """``transfer/<arm>/<score>`` over all test images. ``n_real`` is the number of real test
    images, ``n_fake`` the number of synthetic images in the training set, ``groups`` says which
    test images belong together."""
    predictions = [examination.predictions["test"] for examination in examinations]
    seconds = sum(examination.seconds for examination in examinations) / len(names)
    return [
        make_result(
            f"transfer/{arm}/{name}",
            score_estimate(
                SCORES[name], test.labels, predictions, len(test.classes), groups=groups
            ),
            classifier=classifier,
            n_real=len(test),
            n_fake=n_fake,
            seconds=seconds,
        )
        for name in names
    ]


def recall_by_class(
    arm: str,
    examinations: Sequence[Examination],
    test: LabelledImages,
    *,
    classifier: str,
    fake_counts: Sequence[int],
    groups: Tensor | None = None,
) -> list[Result]:
    """``transfer/<arm>/macro_recall``'s terms: the recall of each class that has test images, named
    ``transfer/<arm>/recall`` with scope ``{"class": name}``."""
    predictions = [examination.predictions["test"] for examination in examinations]
    return [
        make_result(
            f"transfer/{arm}/recall",
            score_estimate(
                recall_of(label),
                test.labels,
                predictions,
                len(test.classes),
                among=test.labels == label,
                groups=groups,
            ),
            classifier=classifier,
            scope={"class": name},
            n_real=count,
            n_fake=fake_counts[label],
            seconds=0.0,
        )
        for label, (name, count) in enumerate(zip(test.classes, test.counts, strict=True))
        if count
    ]


def summed_confusion(examinations: Sequence[Examination], test: LabelledImages) -> dict[str, Any]:
    """``matrix``: rows = true class, columns = predicted class, summed over seeds. With more than
    100 classes nearly all of it is zeros; then ``cells`` holds ``[true, predicted, count]`` of the
    others, in the order of their numbers."""
    classes = len(test.classes)
    labels = test.labels.repeat(len(examinations))
    said = torch.cat([examination.predictions["test"] for examination in examinations])
    if classes <= MOST_IN_MATRIX:
        matrix = confusion(labels, said, classes).long().tolist()
        return {"classes": list(test.classes), "matrix": matrix}
    cells, counts = (labels * classes + said).unique(return_counts=True)
    rows = torch.stack([cells // classes, cells % classes, counts], dim=1)
    return {"classes": list(test.classes), "cells": rows.tolist()}


def mean_curve(examinations: Sequence[Examination]) -> list[dict[str, float]]:
    """Accuracy on real holdout images by optimizer step, mean over seeds."""
    curves = [examination.curve for examination in examinations]
    return [
        {
            "step": points[0][0],
            "accuracy_holdout": sum(accuracy for _, accuracy in points) / len(points),
        }
        for points in zip(*curves, strict=True)
    ]
