"""Scores of a classifier from its confusion matrix, and their intervals over images and seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from synthgen.evaluation.metrics.intervals import Estimate, t_interval

Score = Callable[[Tensor], Tensor]  # float64 (..., K, K), rows = true -> (...)
CELLS_AT_A_TIME = 128
UNITS_AT_A_TIME = 256
RULE_OF_THREE = 1.5  # standard error, in images, of what none of many images showed
ENOUGH_GROUPS = 5  # that differ, for their variance to be believed as it was measured


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
    among: Tensor | None = None,
    groups: Tensor | None = None,
) -> Estimate:
    """Mean over seeds (one prediction vector each) with a 95 % interval inside [0, 1].

    The variance is the sum of two parts: between test images (delete-one jackknife of the mean over
    seeds) and between seeds (variance of the seeds' scores / number of seeds). t quantile with
    Satterthwaite's degrees of freedom. With one seed the second part is unknown and left out.
    Noise that images and seeds share is counted in both parts, so the interval errs on the wide
    side. ``among`` (bool ``(n,)``): the test images that the score rests on, if not on all;
    ``groups`` (int64 ``(n,)``): which of them belong together, and are left out together.
    """
    matrices = [confusion(labels, predicted, classes) for predicted in predictions]
    values = torch.stack([score(matrix) for matrix in matrices])
    left_out = torch.stack(
        [left_out_scores(score, labels, one, classes, groups) for one in predictions]
    ).mean(0)
    parts = variance_parts(left_out, values, among=among, groups=groups)
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


def leave_group_out(
    score: Score, labels: Tensor, predicted: Tensor, classes: int, groups: Tensor
) -> Tensor:
    """``(groups,)``: the score without each group of images, in the order of their numbers."""
    _, group = groups.unique(return_inverse=True)
    count, cell = int(group.max()) + 1, labels * classes + predicted
    whole, left_out = confusion(labels, predicted, classes), []
    for first in range(0, count, UNITS_AT_A_TIME):
        here = (group >= first) & (group < first + UNITS_AT_A_TIME)
        size = min(UNITS_AT_A_TIME, count - first)
        cells = torch.bincount(
            (group[here] - first) * classes**2 + cell[here], minlength=size * classes**2
        )
        left_out.append(score(whole - cells.reshape(size, classes, classes).double()))
    return torch.cat(left_out)


def left_out_scores(
    score: Score, labels: Tensor, predicted: Tensor, classes: int, groups: Tensor | None
) -> Tensor:
    """``(units,)``: the score without each image, or without each group."""
    if groups is not None:
        return leave_group_out(score, labels, predicted, classes, groups)
    return leave_one_out(score, confusion(labels, predicted, classes))[labels, predicted]


def variance_parts(
    left_out: Tensor, values: Tensor, *, among: Tensor | None, groups: Tensor | None
) -> list[tuple[float, float]]:
    """Variances of the mean over seeds with their degrees of freedom: between images, or groups of
    them, and between seeds, if there are several.

    ``left_out`` is from :func:`left_out_scores`, ``values`` has the seeds' scores. The first part
    has the degrees of freedom of the units that the score rests on, not of all. Its least variance
    counts only where it lengthens the interval: beside few, scattered seeds it would bring more
    degrees of freedom than variance.
    """
    images, units = rests_on(len(left_out), among, groups)
    measured = (len(left_out) - 1) * float(left_out.var(correction=0))
    least = least_error(left_out, images, units) ** 2
    seeds = [(float(values.var()) / len(values), len(values) - 1.0)] if len(values) > 1 else []
    degrees = max(units - 1.0, 1.0)
    return max(
        ([(variance, degrees), *seeds] for variance in (max(measured, least), measured)),
        key=half_width,
    )


def rests_on(count: int, among: Tensor | None, groups: Tensor | None) -> tuple[int, int]:
    """Images, and groups that hold one of them, that a score rests on; 1 at least. ``count``: all
    images where they have no groups."""
    if groups is None:
        images = count if among is None else int(among.sum())
        return max(images, 1), max(images, 1)
    own = groups if among is None else groups[among]
    return max(len(own), 1), max(len(own.unique()), 1)


def least_error(left_out: Tensor, images: int, units: int) -> float:
    """The least standard error between images or groups. Where none ever differed (all right, or
    all wrong) the jackknife says 0; the least allowed makes the interval reach about three of them
    far (the rule of three).

    Groups that all say the same could hide others that are wrong altogether. The more of them
    differ, the better their variance is known; from five on, the least is that of single images.
    """
    unseen = max(0.0, 1 - differing(left_out) / ENOUGH_GROUPS)
    return max(RULE_OF_THREE / images, unseen * RULE_OF_THREE / units)


def differing(left_out: Tensor) -> float:
    """How many units carry the variance: (sum d²)² / sum d⁴ of their deviations; 0 if alike."""
    squares = (left_out - left_out.mean()).square()
    if float(squares.sum().sqrt()) < 1e-12:
        return 0.0
    return float(squares.sum().square() / squares.square().sum())


def half_width(parts: Sequence[tuple[float, float]]) -> float:
    high = t_interval(0.0, parts).high
    return 0.0 if high is None else high
