"""How varied one set is by itself: Vendi score and Inception score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from synthgen.metrics.arrays import Strata, as_features, dealt_out
from synthgen.metrics.base import Comparison, Metric
from synthgen.metrics.frechet import products
from synthgen.stats import Estimate, jackknife_variance, t_interval

if TYPE_CHECKING:
    import torchmetrics

GROUPS = 10


def vendi_score(*, fake: Any) -> float:
    """Effective number of different images (Friedman & Dieng 2023, eq. 1) of ``(N, D)`` features.

    exp of the entropy of the eigenvalues of K / n, K the cosine similarities of all pairs: 1 if all
    images are alike, n if all are orthogonal. It says nothing about the real images, and grows with
    n: read it beside real images at the same number.

    Raises:
        ValueError: a set has fewer than two images, or features that aren't finite ``(N, D)``.
    """
    rows = unit_rows(as_features(fake, name="fake"))
    if len(rows) <= rows.shape[1]:
        return entropy_score(products(rows.T.contiguous()))
    return entropy_score(products(rows))


def vendi_estimate(*, fake: Any, strata: Strata | None = None, groups: int = GROUPS) -> Estimate:
    """The Vendi score with a 95 % interval from a grouped jackknife; ``strata`` if the set holds
    fixed counts of each class."""
    rows = unit_rows(as_features(fake, name="fake"))
    groups = min(groups, len(rows) // 2)
    group_of = dealt_out(rows, strata, max(groups, 1))
    # The Gram matrix and the products of features share their eigenvalues; the smaller one is used,
    # and a group leaves either by subtraction or by dropping rows.
    if len(rows) <= rows.shape[1]:
        gram = products(rows.T.contiguous())
        whole = entropy_score(gram)
        rest = [gram[group_of != g][:, group_of != g] for g in range(groups)]
    else:
        total = products(rows)
        whole = entropy_score(total)
        rest = [total - products(rows[group_of == g]) for g in range(groups)]
    if groups < 2:
        return Estimate(whole, None, None)
    without = [entropy_score(matrix) for matrix in rest]
    return t_interval(whole, [jackknife_variance(without)]).within(1.0, len(rows))


def inception_score(*, fake_logits: Any) -> float:
    """exp of the mean KL divergence from p(y) to p(y|x) (Salimans et al. 2016) of the class logits
    ``(N, K)``, all images at once (no splits); from 1 to K, higher is better.

    Args:
        fake_logits: float, before the softmax, from NumPy or torch.

    Raises:
        ValueError: there are fewer than two images, or logits that aren't finite ``(N, K)``.
    """
    return ClassSums.of(as_features(fake_logits, name="fake_logits")).score()


def inception_score_estimate(
    *, fake_logits: Any, strata: Strata | None = None, groups: int = GROUPS
) -> Estimate:
    """The Inception score with a 95 % interval from a grouped jackknife; ``strata`` if the set
    holds fixed counts of each class."""
    logits = as_features(fake_logits, name="fake_logits")
    groups = min(groups, len(logits) // 2)
    whole = ClassSums.of(logits)
    if groups < 2:
        return Estimate(whole.score(), None, None)
    group_of = dealt_out(logits, strata, groups)
    without = [(whole - ClassSums.of(logits[group_of == g])).score() for g in range(groups)]
    interval = t_interval(whole.score(), [jackknife_variance(without)])
    return interval.within(1.0, logits.shape[1])


class ClassSums:
    """What the Inception score needs of any number of images."""

    def __init__(self, probabilities: Tensor, negentropy: Tensor, count: Tensor) -> None:
        self.probabilities = probabilities  # (K,): Σ p(y|x)
        self.negentropy = negentropy  # Σ Σ p(y|x) log p(y|x)
        self.count = count

    @classmethod
    def of(cls, logits: Tensor) -> ClassSums:
        logarithms = logits.double().log_softmax(1)
        probabilities = logarithms.exp()
        count = torch.tensor(float(len(logits)), dtype=torch.float64)
        return cls(probabilities.sum(0), (probabilities * logarithms).sum(), count)

    def __sub__(self, other: ClassSums) -> ClassSums:
        return ClassSums(
            self.probabilities - other.probabilities,
            self.negentropy - other.negentropy,
            self.count - other.count,
        )

    def score(self) -> float:
        marginal = (self.probabilities / self.count).clamp_min(0)
        return float(
            (self.negentropy / self.count - torch.special.xlogy(marginal, marginal).sum()).exp()
        )


def entropy_score(similarities: Tensor) -> float:
    """exp of the entropy of the eigenvalues, scaled to sum 1."""
    values = torch.linalg.eigvalsh(similarities).clamp_min_(0)
    shares = values / values.sum()
    return math.exp(-float(torch.special.xlogy(shares, shares).sum()))


def unit_rows(features: Tensor) -> Tensor:
    """``(N, D)`` -> rows of length 1 ``(N, D + 1)``: images whose features are all 0 are alike, and
    unlike all others; for the others the last number is 0."""
    empty = (~features.any(1)).to(features)
    return torch.cat([torch.nn.functional.normalize(features, dim=1), empty[:, None]], dim=1)


# As metrics of a report.

OF_ONE_SET = "jackknife over 10 groups, t quantile"


class VendiScore(Metric):
    """:func:`vendi_score` (Friedman & Dieng 2023)."""

    name = "vendi"
    label = "Vendi score"
    higher_is_better = True
    definition = "cosine similarities of the synthetic images alone"
    interval = OF_ONE_SET

    def value(self, sets: Comparison) -> float:
        return vendi_score(fake=sets.fake)

    def estimate(self, sets: Comparison) -> Estimate:
        return vendi_estimate(fake=sets.fake, strata=sets.strata and sets.strata[1])

    def streaming(self, num_features: int, **kwargs: Any) -> torchmetrics.Metric:
        """As for every metric, but exact for any number of images: memory is ``(D, D)``."""
        from synthgen.metrics.streaming import VendiSums

        return VendiSums(num_features, **kwargs)


class InceptionScore(Metric):
    """:func:`inception_score` (Salimans et al. 2016): only where features lead to published class
    scores."""

    name = "inception_score"
    label = "Inception score"
    higher_is_better = True
    definition = "of the synthetic images alone, no splits"
    interval = OF_ONE_SET

    def applies_to(self, sets: Comparison) -> bool:
        return sets.logits is not None

    def value(self, sets: Comparison) -> float:
        return inception_score(fake_logits=sets.fake_logits)

    def estimate(self, sets: Comparison) -> Estimate:
        strata = sets.strata and sets.strata[1]
        return inception_score_estimate(fake_logits=sets.fake_logits, strata=strata)

    def streaming(self, num_features: int, **kwargs: Any) -> torchmetrics.Metric:
        """As for every metric, but of class scores ``(B, K)``: ``num_features`` is K, and K + 2
        numbers are kept."""
        from synthgen.metrics.streaming import InceptionSums

        return InceptionSums(num_features, **kwargs)
