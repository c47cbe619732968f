"""Is the holdout like the test images? If it is far easier, choices made on it may not hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.evaluation.judges.base import HOLDOUT
from synthgen.evaluation.metrics.intervals import t_interval
from synthgen.evaluation.scores import Criterion, left_out_scores, value_of, variance_of
from synthgen.evaluation.trial.school import Trained
from synthgen.evaluation.trial.trial import TEST, Outcome


@dataclass(frozen=True)
class Gap:
    """Holdout minus test of what is chosen by, for one arm, with its 95 % interval. The images are
    others, so their variances add up; each seed's difference is one value."""

    arm: str
    label: str
    holdout: float
    test: float
    ci_low: float
    ci_high: float

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def holdout_gaps(outcome: Outcome, splits: Splits, arms: Sequence[Trained]) -> list[Gap]:
    """For each of ``arms``."""
    return [gap_of(trained, outcome.choosing, splits) for trained in arms]


def gap_of(trained: Trained, score: Criterion, splits: Splits) -> Gap:
    classes = len(splits.test.classes)

    def part(
        exam: str, labels: Tensor, groups: Tensor | None
    ) -> tuple[Tensor, list[tuple[float, float]]]:
        answers = trained.answers(exam)
        values = torch.stack([value_of(score, labels, one, classes) for one in answers])
        left_out = torch.stack(
            [left_out_scores(score, labels, one, classes, groups) for one in answers]
        ).mean(0)
        parts = variance_of(score, labels, left_out, values[:1], among=None, groups=groups)
        return values, parts

    held, of_holdout = part(HOLDOUT, splits.holdout.labels, None)
    test, of_test = part(TEST, splits.test.labels, splits.test_groups)
    difference = held - test
    seeds = (float(difference.var()) / len(difference), len(difference) - 1.0)
    parts = [one for one in (*of_holdout, *of_test, seeds) if one[0] > 0 and math.isfinite(one[0])]
    found = t_interval(float(difference.mean()), parts)
    assert found.low is not None
    assert found.high is not None
    return Gap(
        trained.arm.name,
        trained.arm.label,
        float(held.mean()),
        float(test.mean()),
        found.low,
        found.high,
    )


def far_above(gaps: Sequence[Gap], minimum: float) -> list[Gap]:
    """Those whose whole interval lies above the smallest difference that matters."""
    return [gap for gap in gaps if gap.ci_low > minimum]
