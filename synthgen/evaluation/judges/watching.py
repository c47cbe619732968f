"""How a classifier does on the holdout while it learns, and which of its moments is kept."""

from __future__ import annotations

import math

from torch import Tensor

from synthgen.evaluation.scores import Criterion, accuracy, value_of
from synthgen.evaluation.subsets import spread_by_class
from synthgen.types import LabelledImages

CURVE_POINTS = 8
CURVE_IMAGES = 2000  # of the holdout, so that looking costs little beside training


def moments_of(steps: int) -> list[int]:
    """The steps after which the holdout is looked at, evenly spread; the last is always one."""
    return sorted({round(steps * (i + 1) / CURVE_POINTS) for i in range(CURVE_POINTS)} - {0})


def images_to_look_at(holdout: LabelledImages, score: Criterion | None) -> LabelledImages:
    """A curve is only looked at, so a part will do; a choice rests on all there is."""
    return spread_by_class(holdout, CURVE_IMAGES) if score is None else holdout


class Watch:
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
