"""How much better one arm is than another, with an interval that five seeds can carry, and what
a gain must not be paid with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synthgen.evaluation.classifiers.scores import (
    Criterion,
    left_out_scores,
    said,
    value_of,
    variance_of,
)
from synthgen.evaluation.trial.schema import Comparison, Copies, McNemar, OtherClasses, Verdict

LEVEL = 0.05
POWER = 0.8
LARGEST = 1.0  # difference of two scores that lie in 0..1, as all endpoints do


@dataclass(frozen=True)
class Contrast:
    """One arm minus another, on one endpoint (positive: better).

    ``degrees`` are those of the t distribution behind interval and ``p`` (two-sided).
    ``smallest_detectable`` is the difference that this many images and seeds would find in 80 % of
    repetitions, judged by this standard error (from the noncentral t distribution); above 1: none.
    """

    difference: float
    ci_low: float
    ci_high: float
    p: float
    standard_error: float
    degrees: float
    smallest_detectable: float
    per_seed: tuple[float, ...]

    @property
    def verdict(self) -> Verdict:
        return side_of(self)


def side_of(found: Contrast | Comparison | Copies) -> Verdict:
    """Whether the interval leaves out zero, and on which side."""
    if found.ci_low > 0:
        return "helped"
    return "harmed" if found.ci_high < 0 else "no evidence"


def paired_contrast(
    score: Criterion,
    labels: Tensor,
    ours: Sequence[Tensor],
    theirs: Sequence[Tensor],
    classes: int,
    *,
    groups: Tensor | None = None,
    among: Tensor | None = None,
) -> Contrast:
    """Mean over seeds of ``score(ours) - score(theirs)`` on the same real images.

    ``ours[k]`` and ``theirs[k]`` are the answers of the classifiers that started from seed ``k``
    (int64 ``(n,)`` labels, or float ``(n, K)`` log-probabilities). The variance is the sum of a
    part between images, or between ``groups`` of images that belong together (int64 ``(n,)``;
    delete-one jackknife of the mean over seeds), and a part between seeds (variance of the seeds'
    differences / number of seeds). The interval is Student's t with Satterthwaite's (1946) degrees
    of freedom: with five seeds a percentile bootstrap over seeds is far too narrow. What images and
    seeds share is counted in both parts, so the interval errs on the wide side.
    ``among`` (bool ``(n,)``): the images that the score rests on, if not on all. Needs two seeds at
    least.
    """
    if len(ours) != len(theirs) or len(ours) < 2:
        raise ValueError("a paired contrast needs the same two or more seeds on both sides")
    values = seed_scores(score, labels, ours, classes) - seed_scores(score, labels, theirs, classes)
    left_out = mean_left_out(score, labels, ours, classes, groups) - mean_left_out(
        score, labels, theirs, classes, groups
    )
    parts = variance_of(score, labels, left_out, values, among=among, groups=groups)
    return from_parts(values, parts)


def from_parts(values: Tensor, parts: Sequence[tuple[float, float]]) -> Contrast:
    """A contrast from the seeds' differences and its (variance, degrees of freedom) parts."""
    from scipy.special import nctdtrinc
    from scipy.stats import t

    difference = float(values.mean())
    total = sum(variance for variance, _ in parts)
    degrees = total**2 / sum(variance**2 / freedom for variance, freedom in parts if variance > 0)
    error = math.sqrt(total)
    critical = float(t.ppf(1 - LEVEL / 2, degrees))
    half = critical * error
    return Contrast(
        difference=difference,
        ci_low=max(-LARGEST, difference - half),
        ci_high=min(LARGEST, difference + half),
        p=float(2 * t.sf(abs(difference) / error, degrees)),
        standard_error=error,
        degrees=degrees,
        smallest_detectable=float(nctdtrinc(degrees, 1 - POWER, critical)) * error,
        per_seed=tuple(values.tolist()),
    )


def mcnemar(labels: Tensor, ours: Tensor, theirs: Tensor, seed: int) -> McNemar:
    """``ours`` and ``theirs`` are the answers of the classifiers of this seed."""
    from scipy.stats import binomtest

    right, other = said(ours) == labels, said(theirs) == labels
    only_ours, only_theirs = int((right & ~other).sum()), int((other & ~right).sum())
    disagreements = only_ours + only_theirs
    p = float(binomtest(only_ours, disagreements).pvalue) if disagreements else 1.0
    return McNemar(seed=seed, only_this_right=only_ours, only_real_right=only_theirs, p=p)


def seed_scores(
    score: Criterion, labels: Tensor, answers: Sequence[Tensor], classes: int
) -> Tensor:
    """``(seeds,)``."""
    return torch.stack([value_of(score, labels, one, classes) for one in answers])


def mean_left_out(
    score: Criterion,
    labels: Tensor,
    answers: Sequence[Tensor],
    classes: int,
    groups: Tensor | None,
) -> Tensor:
    """``(units,)``: the mean over seeds of the score without each image, or each group."""
    return torch.stack(
        [left_out_scores(score, labels, one, classes, groups) for one in answers]
    ).mean(0)


# What "helped" asks for beside a gain over real images only.
#
# A gain in recall of the rare classes must not be paid with the recall of the others; and where the
# synthetic images change how large the classes are, copies of real images change that too: the gain
# must be one over them.


def non_inferiority(contrast: Contrast, margin: float) -> OtherClasses:
    """Of the other classes, from the contrast in their mean recall."""
    from scipy.stats import t

    beyond = (contrast.difference + margin) / contrast.standard_error
    return OtherClasses(
        difference=contrast.difference,
        ci_low=contrast.ci_low,
        ci_high=contrast.ci_high,
        margin=margin,
        kept=contrast.ci_low > -margin,
        p=float(min(1.0, 2 * t.sf(beyond, contrast.degrees))),
    )


def against_copies(contrast: Contrast, label: str) -> Copies:
    """From the contrast with that arm. Its p is two-sided where the copies did worse, else 1."""
    return Copies(
        label=label,
        difference=contrast.difference,
        ci_low=contrast.ci_low,
        ci_high=contrast.ci_high,
        beaten=contrast.verdict == "helped",
        p=contrast.p if contrast.difference > 0 else 1.0,
    )


def guarded_verdict(
    contrast: Contrast | Comparison,
    others: OtherClasses | None = None,
    control: Copies | None = None,
) -> Verdict:
    """Helped needs all: the gain, the other classes kept, the copies beaten. Where the rare classes
    gained and the others lost, the decision was moved, which is neither help nor harm."""
    side = side_of(contrast)
    if side == "helped":
        kept = others is None or others.kept
        return "helped" if kept and (control is None or control.beaten) else "no evidence"
    return "harmed" if side == "no evidence" and others is not None and others.lost else side


def guarded_p(
    contrast: Contrast, others: OtherClasses | None = None, control: Copies | None = None
) -> float:
    """The greatest where all are needed (intersection-union test, Berger 1982)."""
    if contrast.difference <= 0:
        return contrast.p
    return max([contrast.p, *(one.p for one in (others, control) if one is not None)])
