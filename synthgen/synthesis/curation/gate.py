"""Where to draw the line: so that a stated share of new real images would pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.synthesis.curation.base import Verdicts

MANTISSA_BITS = 15  # of a score: its last digits could depend on the order of a sum


@dataclass(frozen=True)
class Gate:
    """Keeps images whose score is at least ``thresholds[label]``, float32 ``(classes,)``.

    ``facts`` is plain JSON for the set's papers: the thresholds, and how many held-out real images
    pass them.
    """

    thresholds: Tensor
    facts: dict[str, Any]

    def verdicts(self, scores: Tensor, labels: Tensor) -> Verdicts:
        """Float ``(N,)`` scores (higher is better) and int64 ``(N,)`` labels."""
        scores = rounded(scores)
        return Verdicts(scores >= self.thresholds[labels], scores)


def gate(
    scores: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    *,
    keep_real: float,
    threshold: float | None,
) -> Gate:
    """A gate for scores like those ``(N,)`` of real images that the score was not fitted to.

    A class with enough held-out images gets its own threshold, so that no class pays for
    another's; a smaller one the lower of the common threshold and its own lowest score. With
    ``threshold`` it is that number for all, and ``keep_real`` says nothing.
    """
    if not len(scores):
        raise SynthgenError(
            "A filter needs two different training images of some class at least.\n"
            "Draw the set without filters."
        )
    scores = rounded(scores)
    if threshold is not None:
        lines = rounded(torch.full((len(classes),), float(threshold)))
    else:
        common = keeping(keep_real, scores)
        lines = torch.full((len(classes),), common)
        for label in range(len(classes)):
            mine = scores[labels == label]
            if len(mine):
                own = keeping(keep_real, mine)
                lines[label] = own if rank(keep_real, len(mine)) else min(common, own)
    passed = scores >= lines[labels]
    return Gate(lines, _facts(passed, labels, classes, lines, keep_real, threshold))


def rank(keep_real: float, count: int) -> int:
    """Split conformal prediction (Papadopoulos et al. 2002): a new image exchangeable with
    ``count`` others scores at least their ``k``-th lowest with probability 1 - k / (count + 1);
    the largest ``k`` for which that is ``keep_real`` or more, 0 if there is none."""
    return int((count + 1) * (1 - keep_real) + 1e-9)


def keeping(keep_real: float, scores: Tensor) -> float:
    """The highest threshold that a new score passes with probability ``keep_real``; with too few
    scores to promise it, the lowest of them."""
    return float(scores.sort().values[max(rank(keep_real, len(scores)), 1) - 1])


def rounded(scores: Tensor) -> Tensor:
    """float32 of 15 significant bits: two ways to add the same numbers give the same score."""
    mantissa, exponent = torch.frexp(scores.double())
    scale = 2.0**MANTISSA_BITS
    return torch.ldexp((mantissa * scale).round() / scale, exponent).float()


def checked_share(keep_real: float) -> float:
    if not 0.5 <= keep_real < 1:
        raise SynthgenError(
            f"keep_real is {keep_real}, but must be from 0.5 to less than 1.\n"
            "It is the share of real images that the filter would keep; try 0.95."
        )
    return keep_real


def _facts(
    passed: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    lines: Tensor,
    keep_real: float,
    threshold: float | None,
) -> dict[str, Any]:
    """A new real image takes its rank among ``n`` held-out ones of its class at random, so that it
    passes with probability (number that passed) / (n + 1) where one of them sets the line."""
    counts = torch.bincount(labels, minlength=len(classes)).double()
    passing = torch.bincount(labels[passed], minlength=len(classes)) / (counts + 1)
    return {
        "keeps": "scores of at least the threshold",
        "thresholds": dict(zip(classes, lines.tolist(), strict=True)),
        "asked_to_keep_of_real": keep_real if threshold is None else None,
        "held_out_real_images": len(labels),
        "keeps_of_real": round(float((passing * counts).sum() / counts.sum()), 4),
        "keeps_of_real_per_class": {
            name: round(float(passing[label]), 4)
            for label, name in enumerate(classes)
            if counts[label] > 0
        },
    }
