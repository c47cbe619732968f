"""Scores of a classifier from its confusion matrix or its ranks, and their intervals over images
and seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from synthgen.evaluation.classifiers.rankings import Ranking
from synthgen.stats import Estimate, t_interval

Score = Callable[[Tensor], Tensor]  # float64 (..., K, K), rows = true -> (...)
Counts = tuple[Tensor, Tensor, Tensor]  # float64 (..., K): right, true, predicted
Term = Callable[[Tensor, Tensor, Tensor], Tensor]  # right, true, predicted -> of each class
Criterion = Score | Ranking
"""What answers are scored by. Answers are int64 ``(n,)`` labels, or float ``(n, K)``
log-probabilities; a ranking needs the latter, of which all others take the greatest."""
CELLS_AT_A_TIME = 128
UNITS_AT_A_TIME = 256
RULE_OF_THREE = 1.5  # standard error, in images, of what none of many images showed
ENOUGH_GROUPS = 5  # that differ, for their variance to be believed as it was measured


class ClassMean:
    """Σ over classes of ``term`` / Σ of ``weight``, both of a class's numbers of images recognised
    rightly, of its own and predicted, float64 ``(..., K)`` each.

    So leaving an image out changes what two classes contribute, and nothing of the others: the
    jackknife takes time by images, not by images times classes squared.
    """

    def __init__(self, term: Term, weight: Term, only: int | None = None) -> None:
        """``only``: the one class that counts; None: all."""
        self.term, self.weight, self.only = term, weight, only

    def __call__(self, matrix: Tensor) -> Tensor:
        """float64 ``(..., K, K)`` -> ``(...)``."""
        counts = (diagonal(matrix), matrix.sum(-1), matrix.sum(-2))
        if self.only is not None:
            right, true, predicted = (part[..., self.only, None] for part in counts)
            counts = (right, true, predicted)
        return self.ratio(self.term(*counts).sum(-1), self.weight(*counts).sum(-1))

    @staticmethod
    def ratio(total: Tensor, weight: Tensor) -> Tensor:
        return total / torch.where(weight > 0, weight, 1.0)

    def of(self, labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
        """The score of int64 ``(N,)`` labels and predictions, without their matrix."""
        counts = self._counts(labels, predicted, classes)
        return self.ratio(self.term(*counts).sum(), self.weight(*counts).sum())

    def left_out(
        self, labels: Tensor, predicted: Tensor, classes: int, groups: Tensor | None
    ) -> Tensor:
        """``(units,)``: the score without each image, or without each group, in the order of their
        numbers."""
        if self.only is not None and classes > 2:  # the other classes are one to it
            same = [(part != self.only).long() for part in (labels, predicted)]
            return ClassMean(self.term, self.weight, only=0).left_out(same[0], same[1], 2, groups)
        counts = self._counts(labels, predicted, classes)
        if groups is not None:
            _, unit = groups.unique(return_inverse=True)
            return self._without(counts, labels, predicted, unit)
        cells, cell = filled_cells(labels * classes + predicted, classes)
        # Images of one cell of the matrix are alike: each is missed like any other of them.
        found = self._without(counts, cells // classes, cells % classes, torch.arange(len(cells)))
        return found[cell]

    def _without(self, counts: Counts, labels: Tensor, predicted: Tensor, unit: Tensor) -> Tensor:
        """``(units,)``: the score of ``counts`` less the images of each unit, whose labels,
        predictions and units are int64 ``(M,)``."""
        classes, units = int(max(labels.max(), predicted.max())) + 1, int(unit.max()) + 1
        wrong = labels != predicted
        keys = torch.cat([unit * classes + labels, (unit * classes + predicted)[wrong]])
        true = torch.arange(len(keys)) < len(labels)
        right = torch.cat([~wrong, torch.zeros(int(wrong.sum()), dtype=torch.bool)])
        if self.only is not None:
            chosen = keys % classes == self.only
            keys, true, right = keys[chosen], true[chosen], right[chosen]
        touched, place = keys.unique(return_inverse=True)
        who, column = touched // classes, touched % classes
        before = [part[column] if self.only is None else part for part in counts]
        # An image leaves its own class's row, and the column that it was predicted to be in.
        leaving = [
            torch.zeros(len(touched), dtype=torch.float64).index_add_(0, place, part.double())
            for part in (right, true, right | ~true)
        ]
        after = [ours - theirs for ours, theirs in zip(before, leaving, strict=True)]
        sums = []
        for value in (self.term, self.weight):
            change = value(*after) - value(*before)
            base = value(*counts).sum().expand(units).clone()
            sums.append(base.index_add_(0, who, change))
        return self.ratio(*sums)

    def _counts(self, labels: Tensor, predicted: Tensor, classes: int) -> Counts:
        """Right, true and predicted, float64 ``(K,)``; ``(1,)`` of the only class."""
        if self.only is not None:
            own, said = labels == self.only, predicted == self.only
            right, true, all_said = (part.sum()[None].double() for part in (own & said, own, said))
            return right, true, all_said
        right, true, all_said = (
            torch.bincount(part, minlength=classes).double()
            for part in (labels[labels == predicted], labels, predicted)
        )
        return right, true, all_said


def filled_cells(cell: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The cells that occur, ascending, and the position of each image's among them."""
    if classes**2 > len(cell):
        return cell.unique(return_inverse=True)
    filled = torch.bincount(cell, minlength=classes**2) > 0  # sorts nothing
    return filled.nonzero().flatten(), (filled.cumsum(0) - 1)[cell]


def right_images(right: Tensor, true: Tensor, predicted: Tensor) -> Tensor:
    return right


def true_images(right: Tensor, true: Tensor, predicted: Tensor) -> Tensor:
    return true


def occurs(right: Tensor, true: Tensor, predicted: Tensor) -> Tensor:
    return (true > 0).double()


def every_class(right: Tensor, true: Tensor, predicted: Tensor) -> Tensor:
    return torch.ones_like(right)


def recall_term(right: Tensor, true: Tensor, predicted: Tensor) -> Tensor:
    return right / true.clamp_min(1)


def precision_term(right: Tensor, true: Tensor, predicted: Tensor) -> Tensor:
    return right / predicted.clamp_min(1)


def f1_term(right: Tensor, true: Tensor, predicted: Tensor) -> Tensor:
    return 2 * right / (true + predicted).clamp_min(1)


accuracy = ClassMean(right_images, true_images)
# Mean recall of the classes that have test images, also called macro recall.
balanced_accuracy = ClassMean(recall_term, occurs)
# Unweighted mean; a class never predicted counts as 0 (scikit-learn's zero_division=0).
macro_precision = ClassMean(precision_term, every_class)
# Unweighted mean of the classes' F1; 0 where a class neither occurs nor is predicted.
macro_f1 = ClassMean(f1_term, every_class)

SCORES: dict[str, Score] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_precision": macro_precision,
    "macro_f1": macro_f1,
}


def class_recall(matrix: Tensor) -> Tensor:
    """``(..., K)``; 0 for a class without test images."""
    return diagonal(matrix) / matrix.sum(-1).clamp_min(1)


def diagonal(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1)


def recall_of(label: int) -> Score:
    return ClassMean(recall_term, every_class, only=label)


def confusion(labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
    """float64 ``(K, K)`` counts, rows = true class, columns = predicted class."""
    cells = torch.bincount(labels * classes + predictions, minlength=classes**2)
    return cells.reshape(classes, classes).double()


def said(answers: Tensor) -> Tensor:
    """int64 ``(n,)``: the labels that answers amount to."""
    return answers.argmax(-1) if answers.ndim > 1 else answers


def value_of(score: Criterion, labels: Tensor, answers: Tensor, classes: int) -> Tensor:
    """float64 scalar: the score of one classifier's answers, without a matrix where it needs
    none."""
    if isinstance(score, Ranking):
        return score.value(answers, labels)
    if isinstance(score, ClassMean):
        return score.of(labels, said(answers), classes)
    return score(confusion(labels, said(answers), classes))


def score_estimate(
    score: Criterion,
    labels: Tensor,
    answers: Sequence[Tensor],
    classes: int,
    *,
    among: Tensor | None = None,
    groups: Tensor | None = None,
) -> Estimate:
    """Mean over seeds (the answers of one each) with a 95 % interval inside [0, 1].

    The variance is the sum of two parts: between test images (delete-one jackknife of the mean over
    seeds) and between seeds (variance of the seeds' scores / number of seeds). t quantile with
    Satterthwaite's degrees of freedom. With one seed the second part is unknown and left out.
    Noise that images and seeds share is counted in both parts, so the interval errs on the wide
    side. ``among`` (bool ``(n,)``): the test images that the score rests on, if not on all;
    ``groups`` (int64 ``(n,)``): which of them belong together, and are left out together.
    """
    values = torch.stack([value_of(score, labels, one, classes) for one in answers])
    left_out = torch.stack(
        [left_out_scores(score, labels, one, classes, groups) for one in answers]
    ).mean(0)
    parts = variance_of(score, labels, left_out, values, among=among, groups=groups)
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
    score: Criterion, labels: Tensor, answers: Tensor, classes: int, groups: Tensor | None
) -> Tensor:
    """``(units,)``: the score without each image, or without each group."""
    if isinstance(score, Ranking):
        without = score.left_out(answers, labels)
        if groups is None:
            return without
        return groups_left_out(score.value(answers, labels), without, labels, groups)
    predicted = said(answers)
    if isinstance(score, ClassMean):
        return score.left_out(labels, predicted, classes, groups)
    if groups is not None:
        return leave_group_out(score, labels, predicted, classes, groups)
    return leave_one_out(score, confusion(labels, predicted, classes))[labels, predicted]


def groups_left_out(value: Tensor, without: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """``(groups,)`` to first order: what leaving out each of a group's images changes, added up.

    Of a class's mean over n images leaving out m of a group changes (n - 1) / (n - m) times the sum
    of what each does alone.
    """
    _, group = groups.unique(return_inverse=True)
    count, classes = int(group.max()) + 1, int(labels.max()) + 1
    cell = group * classes + labels
    here = torch.bincount(cell, minlength=count * classes)[cell].double()
    whole = torch.bincount(labels)[labels].double()
    change = (without - value) * (whole - 1).clamp_min(1) / (whole - here).clamp_min(1)
    return value + torch.zeros(count, dtype=torch.float64).index_add(0, group, change)


def variance_of(
    score: Criterion,
    labels: Tensor,
    left_out: Tensor,
    values: Tensor,
    *,
    among: Tensor | None,
    groups: Tensor | None,
) -> list[tuple[float, float]]:
    """:func:`variance_parts` of a score of the confusion matrix; of a ranking by class."""
    if isinstance(score, Ranking):
        return ranked_parts(labels, left_out, values, groups)
    return variance_parts(left_out, values, among=among, groups=groups)


def ranked_parts(
    labels: Tensor, left_out: Tensor, values: Tensor, groups: Tensor | None
) -> list[tuple[float, float]]:
    """Variances of a ranking with their degrees of freedom: one between the images (or groups) of
    each class, since a class with few of them has most of the variance and few degrees of freedom,
    and one between seeds. A group counts to the rarest class in it.

    Where hardly any unit differs, the least is what half again one image of the rarest class could
    change, as in :func:`least_error`; with ranks from five units on the variance is believed.
    """
    counts = torch.bincount(labels)
    strata, classes = labels, int((counts > 0).sum())
    if groups is not None:
        _, group = groups.unique(return_inverse=True)
        rarest = torch.full((int(group.max()) + 1,), len(labels)).scatter_reduce(
            0, group, counts[labels], "amin"
        )
        strata = rarest.unique(return_inverse=True)[1]
    units = len(left_out)
    squares = (left_out - left_out.mean()).square() * (units - 1) / units
    parts = [
        (float(squares[strata == one].sum()), max(int((strata == one).sum()) - 1.0, 1.0))
        for one in strata.unique().tolist()
    ]
    unseen = max(0.0, 1 - differing(left_out) / ENOUGH_GROUPS)
    rarest_units = int(torch.bincount(strata)[torch.bincount(strata) > 0].min())
    least = (unseen * RULE_OF_THREE / (classes * rarest_units)) ** 2
    if sum(variance for variance, _ in parts) < least:
        parts = [(least, max(rarest_units - 1.0, 1.0))]
    seeds = [(float(values.var()) / len(values), len(values) - 1.0)] if len(values) > 1 else []
    return [part for part in [*parts, *seeds] if part[0] > 0]


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
