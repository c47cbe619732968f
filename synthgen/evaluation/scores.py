"""Scores of a classifier from its confusion matrix, and their intervals over images and seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from synthgen.evaluation.metrics.intervals import Estimate, t_interval

Score = Callable[[Tensor], Tensor]  # float64 (..., K, K), rows = true -> (...)
CELLS_AT_A_TIME = 128


def accuracy(matrix: Tensor) -> Tensor:
    return diagonal(matrix).sum(-1) / matrix.sum((-1, -2)).clamp_min(1)


def class_recall(matrix: Tensor) -> Tensor:
    """``(..., K)``; 0 for a class without test images."""
    return diagonal(matrix) / matrix.sum(-1).clamp_min(1)


def macro_recall(matrix: Tensor) -> Tensor:
    """Mean recall of the classes that have test images; the same number as balanced accuracy."""
    present = (matrix.sum(-1) > 0).double()
    return (class_recall(matrix) * present).sum(-1) / present.sum(-1).clamp_min(1)


def macro_precision(matrix: Tensor) -> Tensor:
    """Unweighted mean; a class that is never predicted counts as 0 (scikit-learn's
    ``zero_division=0``)."""
    return (diagonal(matrix) / matrix.sum(-2).clamp_min(1)).mean(-1)


def macro_f1(matrix: Tensor) -> Tensor:
    """Unweighted mean of the classes' F1; 0 where a class neither occurs nor is predicted."""
    both = matrix.sum(-1) + matrix.sum(-2)
    return (2 * diagonal(matrix) / both.clamp_min(1)).mean(-1)


def diagonal(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1)


SCORES: dict[str, Score] = {
    "accuracy": accuracy,
    "balanced_accuracy": macro_recall,
    "macro_precision": macro_precision,
    "macro_recall": macro_recall,
    "macro_f1": macro_f1,
}


def recall_of(label: int) -> Score:
    return lambda matrix: class_recall(matrix)[..., label]


def confusion(labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
    """float64 ``(K, K)`` counts, rows = true class, columns = predicted class."""
    cells = torch.bincount(labels * classes + predictions, minlength=classes**2)
    return cells.reshape(classes, classes).double()


def score_estimate(
    score: Score,
    labels: Tensor,
    predictions: Sequence[Tensor],
    classes: int,
    *,
    n_images: int | None = None,
) -> Estimate:
    """Mean over seeds (one prediction vector each) with a 95 % interval inside [0, 1].

    The variance is the sum of two parts: between test images (delete-one jackknife of the mean over
    seeds) and between seeds (variance of the seeds' scores / number of seeds). t quantile with
    Satterthwaite's degrees of freedom. With one seed the second part is unknown and left out.
    Noise that images and seeds share is counted in both parts, so the interval errs on the wide
    side. ``n_images``: how many test images the score rests on, if not on all.
    """
    matrices = [confusion(labels, predicted, classes) for predicted in predictions]
    values = torch.stack([score(matrix) for matrix in matrices])
    left_out = torch.stack(
        [
            leave_one_out(score, matrix)[labels, predicted]
            for matrix, predicted in zip(matrices, predictions, strict=True)
        ]
    ).mean(0)
    parts = [(image_variance(left_out, n_images or len(labels)), float(len(labels) - 1))]
    if len(values) > 1:
        parts.append((float(values.var()) / len(values), float(len(values) - 1)))
    return t_interval(float(values.mean()), parts).within(0.0, 1.0)


def leave_one_out(score: Score, matrix: Tensor) -> Tensor:
    """``(K, K)``: the score without one image of that cell. All images of a cell are alike, so the
    jackknife over 10,000 images costs as many evaluations as there are filled cells."""
    result = torch.zeros_like(matrix)
    cells = matrix.nonzero()
    for some in cells.split(CELLS_AT_A_TIME):
        reduced = matrix.repeat(len(some), 1, 1)
        reduced[torch.arange(len(some)), some[:, 0], some[:, 1]] -= 1
        result[some[:, 0], some[:, 1]] = score(reduced)
    return result


def image_variance(left_out: Tensor, n_images: int) -> float:
    """Jackknife variance. Where no image ever differed (all right, or all wrong) it would be 0; the
    least allowed makes the interval reach about three images far (the rule of three)."""
    variance = (len(left_out) - 1) * float(left_out.var(correction=0))
    return max(variance, (1.5 / n_images) ** 2)
