"""Scores that look at no threshold: how well a classifier ranks images, whatever it calls them.

Each class is asked about by itself, against all others: images are ranked by their log odds
``log p - log(1 - p)`` of the class, which orders them as its probability does but tells those near
1 apart too. Adding a constant to a class's log-probabilities, as showing its images more often
does, moves decisions; of two classes it leaves every rank where it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

DECIMALS = 9  # of log odds: the order of a sum must not tell equals apart


class OneClass(Protocol):
    """The score of one class and its values without each image."""

    def __call__(self, odds: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
        """float64 and bool ``(n,)``, both kinds among them -> a float64 scalar, and ``(n,)``."""


@dataclass(frozen=True)
class Ranking:
    """Unweighted mean of a score over the classes that have test images; 1 is perfect."""

    one_class: OneClass

    def value(self, log_probabilities: Tensor, labels: Tensor) -> Tensor:
        """float ``(n, K)`` and int64 ``(n,)`` -> float64 scalar; 0 if no two classes are there."""
        values = [self.one_class(*asked)[0] for asked in questions(log_probabilities, labels)]
        return torch.stack(values).mean() if values else torch.tensor(0.0, dtype=torch.float64)

    def left_out(self, log_probabilities: Tensor, labels: Tensor) -> Tensor:
        """float64 ``(n,)``: the value without each image. The only image of its class changes
        nothing of that class's term."""
        values = [self.one_class(*asked)[1] for asked in questions(log_probabilities, labels)]
        return torch.stack(values).mean(0) if values else torch.zeros(len(labels)).double()


def questions(log_probabilities: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The log odds of each class that some images have and others don't, and who has it."""
    odds = log_odds(log_probabilities)
    for label in labels.unique().tolist():
        positive = labels == label
        if bool(positive.all()):
            continue
        yield odds[:, label], positive


def log_odds(log_probabilities: Tensor) -> Tensor:
    """float64 ``(n, K)``: ``log p - log(1 - p)`` of each class. The likeliest class of an image,
    the only one whose p can be near 1, gets its ``1 - p`` from the others, so nothing cancels."""
    scores = log_probabilities.double()
    scores = scores - scores.logsumexp(1, keepdim=True)
    top = scores.argmax(1, keepdim=True)
    rest = scores.scatter(1, top, -torch.inf).logsumexp(1, keepdim=True)
    others = torch.log1p(-scores.exp().clamp_max(0.5))
    odds: Tensor = scores - others.scatter(1, top, rest)
    return odds.round(decimals=DECIMALS)


def roc_area(odds: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Area under the ROC curve: the share of pairs (one of the class, one not) in the right order;
    equals count half. Its values without an image are those of DeLong et al. (1988)."""
    ours, others = odds[positive], odds[~positive]
    below, above = share_below(ours, others), 1 - share_below(others, ours)
    area = below.mean()
    without = torch.full_like(odds, float(area))
    for mask, placed in ((positive, below), (~positive, above)):
        if len(placed) > 1:
            without[mask] = (len(placed) * area - placed) / (len(placed) - 1)
    return area, without


def share_below(values: Tensor, others: Tensor) -> Tensor:
    """Per value the share of ``others`` below it, equals counted half."""
    ordered = others.sort().values
    left = torch.searchsorted(ordered, values, right=False)
    right = torch.searchsorted(ordered, values, right=True)
    return (left + right).double() / (2 * len(others))


def average_precision(odds: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over the images of the class of the precision at their rank; images of equal odds share
    the last rank among them, as in scikit-learn. By chance it is the class's share of images."""
    ordered, order = odds.sort(descending=True, stable=True)
    ours = positive[order].double()
    _, sizes = torch.unique_consecutive(ordered, return_counts=True)
    ends = sizes.cumsum(0)  # per set of equals: how many images are there or before
    tied = torch.arange(len(sizes)).repeat_interleave(sizes)
    rank, found = ends[tied].double(), ours.cumsum(0)[ends - 1][tied]
    precision, count = found / rank, float(ours.sum())
    area = (precision * ours).sum() / count

    def from_here_on(change: Tensor) -> Tensor:
        """Per image the sum over those of the class that are its equals or ranked below it."""
        sums = (change * ours).flip(0).cumsum(0).flip(0)
        return sums[(ends - sizes)[tied]]

    fewer = (rank - 1).clamp_min(1)
    less_others = area + from_here_on(found / fewer - precision) / count
    changed = torch.where(rank > 1, (found - 1) / fewer, 0.0) - precision
    rest = area * count - precision + from_here_on(changed) - changed
    less_ours = rest / (count - 1) if count > 1 else torch.full_like(rest, float(area))
    without = torch.empty_like(odds)
    without[order] = torch.where(ours > 0, less_ours, less_others)
    return area, without


RANKINGS: dict[str, Ranking] = {
    "macro_auroc": Ranking(roc_area),
    "macro_average_precision": Ranking(average_precision),
}
