"""What a trial is decided on: one score of a classifier's answers, declared before it begins.

An endpoint must not reward a mere shift of the decision. Copies of rare images teach nothing, but a
classifier that saw them says "rare" more often: its recall of the rare classes rises, and so do
balanced accuracy and macro F1 where it said it too seldom.

For classes of unequal sizes the default was chosen by trials whose truth is known (copies, copies
of the rare classes, wrongly labelled copies, held-back real images; 1 : 10 with two classes and 200
: 10 with ten; ``scripts/calibrate.py --endpoints``). Recall of the rare classes said "helped" of
copies in up to half of the trials and of wrong labels in more, balanced accuracy of copies too.
Balanced accuracy after logit adjustment of every arm was not fooled, but called nearly all sets
with copies of the rare classes harmful, and saw fewest of the real images: a classifier that knows
its few images by heart has less preference to take away than the adjustment takes. Macro AUROC and
macro average precision were fooled no more often than chance allows; near 1 the first has little
left to show, so the second saw more.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers.rankings import RANKINGS
from synthgen.evaluation.classifiers.scores import SCORES, Criterion, Score, class_recall
from synthgen.types import LabelledImages

TAIL_RECALL = "tail_recall"
BALANCED_ACCURACY = "balanced_accuracy"
FOR_BALANCED, FOR_IMBALANCED = "macro_f1", "macro_average_precision"
ENDPOINTS = (*SCORES, *RANKINGS, TAIL_RECALL)
TAIL_SHARE = 0.5  # a class with at most half as many images as the median class is rare


def is_imbalanced(real_train: LabelledImages) -> bool:
    """Whether the smallest class has at most half as many training images as the largest."""
    return min(real_train.counts) <= TAIL_SHARE * max(real_train.counts)


def declared_endpoint(name: str | None, real_train: LabelledImages) -> str:
    """``name``, or what the training images' class sizes ask for."""
    if name is not None:
        return name
    return FOR_IMBALANCED if is_imbalanced(real_train) else FOR_BALANCED


def require_endpoint(name: str | None) -> None:
    """Raises SynthgenError for a name that is neither an endpoint nor None."""
    if name is not None and name not in ENDPOINTS:
        raise SynthgenError(
            f"trial.endpoint is {name!r}, which is unknown.\nUse one of {', '.join(ENDPOINTS)}."
        )


def endpoint_score(name: str, tail: Sequence[int]) -> Criterion:
    """The score called ``name``. ``tail`` are the labels whose recall ``tail_recall`` averages."""
    if name == TAIL_RECALL:
        if not tail:
            raise SynthgenError(
                "The endpoint tail_recall needs rare classes, but the training images have none.\n"
                "Name them with trial.tail=[CLASS, ...], or use trial.endpoint=macro_f1."
            )
        return mean_recall_of(tail)
    if name in RANKINGS:
        return RANKINGS[name]
    require_endpoint(name)
    return SCORES[name]


def choosing_score(name: str, tail: Sequence[int]) -> Criterion:
    """What moments, ratios and cheap arms are chosen by on the holdout, and what images are worth:
    the endpoint's score; for ``tail_recall``, which alone could be bought, the default one."""
    return RANKINGS[FOR_IMBALANCED] if name == TAIL_RECALL else endpoint_score(name, tail)


def choosing_name(name: str) -> str:
    """The name of :func:`choosing_score`."""
    return FOR_IMBALANCED if name == TAIL_RECALL else name


def threshold_score(name: str) -> Score:
    """What thresholds are tuned for: the endpoint, or balanced accuracy where it has none."""
    return SCORES.get(name, SCORES[BALANCED_ACCURACY])


def looks_at_no_threshold(name: str) -> bool:
    return name in RANKINGS


def images_of_endpoint(name: str, tail: Sequence[int], labels: Tensor) -> Tensor | None:
    """bool ``(n,)``: the test images that ``endpoint_score(name, tail)`` rests on; None: all."""
    return of_classes(tail, labels) if name == TAIL_RECALL else None


def of_classes(chosen: Sequence[int], labels: Tensor) -> Tensor:
    """bool ``(n,)``."""
    return torch.isin(labels, torch.tensor(list(chosen)))


def other_classes(tail: Sequence[int], labels: Tensor, classes: Sequence[str]) -> list[int]:
    """The classes beside the rare ones that have test images. Raises SynthgenError for none: then
    nothing could be paid for the rare ones."""
    present = set(labels.tolist())
    found = [label for label in range(len(classes)) if label in present and label not in tail]
    if not found:
        raise SynthgenError(
            "The endpoint tail_recall needs classes beside the rare ones, whose recall must not "
            "fall for theirs.\nName fewer classes in trial.tail."
        )
    return found


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
