"""Statistical tests between real and synthetic images: one number per image, the labels, and a
classifier that learns to tell the sets apart."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from synthgen.evaluation.schema import LabelTest, StatisticTest, TwoSample
from synthgen.metrics.arrays import as_pair
from synthgen.seeds import Stream, image_rng
from synthgen.stats import benjamini_hochberg, holm, wilson
from synthgen.types import LabelledImages

EFFECTS = ((0.2, "negligible"), (0.5, "small"), (0.8, "medium"))  # Cohen (1988), in SDs
DISTANCES = ((0.1, "negligible"), (0.2, "small"), (0.35, "medium"))
"""Kolmogorov-Smirnov's D of two normal distributions whose means lie 0.25, 0.5 and 0.9 SDs apart,
so that the words mean about the same for both sizes."""

FOLDS = 5  # of the classifier two-sample test
PERMUTATIONS = 499
COMPONENTS = 50
RIDGE = 1e-4  # times the number of training rows
MOST = 1000  # rows of each set: the time grows with their cube
FEWEST = 10  # rows of each set, two per fold

Test = tuple[str, ArrayLike, ArrayLike]  # a statistic, its real values (N,), its fake values (M,)


@dataclass(frozen=True)
class Components:
    """Both sets along K principal components: ``real (N, K)``, ``fake (M, K)``, in units of the
    features, and the share of the variance that was fitted along each."""

    real: np.ndarray
    fake: np.ndarray
    shares: list[float]


def real_components(real: Tensor, fake: Tensor, count: int) -> Components:
    """The first ``count`` components of the *first half* of the real rows, with the other half and
    all fake rows along them.

    A test on the rows that the directions were fitted to would find differences where there are
    none: fitted rows spread more along their own directions than any others do. So ``real`` holds
    the second half only.
    """
    real, fake = as_pair(real, fake, at_least=4)
    fitted, kept = real[0::2].numpy(), real[1::2].numpy()
    directions, shares = _fit(fitted, count)
    centre = fitted.mean(0)
    return Components(
        (kept - centre) @ directions.T, (fake.numpy() - centre) @ directions.T, shares
    )


def pooled_components(real: Tensor, fake: Tensor, count: int) -> Components:
    """The first ``count`` components of both sets together, where neither is favoured: exchanging
    real and fake rows changes nothing."""
    real, fake = as_pair(real, fake)
    together = np.concatenate([real.numpy(), fake.numpy()])
    directions, shares = _fit(together, count)
    scores = (together - together.mean(0)) @ directions.T
    return Components(scores[: len(real)], scores[len(real) :], shares)


def _fit(rows: np.ndarray, count: int) -> tuple[np.ndarray, list[float]]:
    """Directions ``(K, D)`` with any variance, largest first, and their shares of it. The sign
    makes the largest entry positive, so that it does not depend on the linear algebra library."""
    centred = rows - rows.mean(0)
    if len(centred) < centred.shape[1]:  # the smaller of the two Gram matrices
        values, vectors = np.linalg.eigh(centred @ centred.T)
        directions = vectors.T @ centred
    else:
        values, vectors = np.linalg.eigh(centred.T @ centred)
        directions = vectors.T.copy()
    order = values.argsort()[::-1][:count]
    order = order[values[order] > 1e-10 * max(float(values.sum()), 1e-300)]
    chosen = directions[order]
    chosen /= np.linalg.norm(chosen, axis=1, keepdims=True)
    largest = np.take_along_axis(chosen, abs(chosen).argmax(1)[:, None], axis=1)
    shares = values[order] / max(float(values.sum()), 1e-300)
    return chosen * np.sign(largest), [float(share) for share in shares]


def compare_each(family: Iterable[Test]) -> list[StatisticTest]:
    """All of one family of tests. Values are finite; ``p`` is conservative where many are equal."""
    from scipy.stats import ks_2samp, wasserstein_distance

    rows = []
    for name, real, fake in family:
        ours, theirs = np.asarray(real, np.float64), np.asarray(fake, np.float64)
        with warnings.catch_warnings():  # where "exact" fails it goes on by itself, aloud
            warnings.filterwarnings("ignore", "ks_2samp: Exact calculation", RuntimeWarning)
            test = ks_2samp(ours, theirs, method="auto")
        distance = float(wasserstein_distance(ours, theirs))
        rows.append((name, ours, theirs, float(test.statistic), float(test.pvalue), distance))
    p_values = [row[4] for row in rows]
    found = []
    for row, adjusted, rate in zip(rows, holm(p_values), benjamini_hochberg(p_values), strict=True):
        name, ours, theirs, ks, p, distance = row
        effect = standardised_difference(ours, theirs)
        found.append(
            StatisticTest(
                statistic=name,
                ks=ks,
                p=p,
                p_adjusted=adjusted,
                p_bh=rate,
                wasserstein=distance,
                effect=effect,
                size=size_in_words(effect, ks),
                real_mean=float(ours.mean()),
                fake_mean=float(theirs.mean()),
                real_sd=float(ours.std(ddof=1)),
                fake_sd=float(theirs.std(ddof=1)),
            )
        )
    return found


def standardised_difference(real: np.ndarray, fake: np.ndarray) -> float | None:
    """Cohen's d with the root mean square of both standard deviations; None if nothing varies."""
    pooled = math.sqrt((float(real.var(ddof=1)) + float(fake.var(ddof=1))) / 2)
    difference = float(fake.mean() - real.mean())
    if pooled <= 1e-12 * max(1.0, abs(float(real.mean()))):
        return None if difference else 0.0
    return difference / pooled


def size_in_words(effect: float | None, ks: float) -> str:
    """The larger of the two sizes: a mean may stay where it is while the spread changes."""
    words = [*[word for _, word in EFFECTS], "large"]
    shift = len(EFFECTS) if effect is None else sum(abs(effect) >= limit for limit, _ in EFFECTS)
    return words[max(shift, sum(ks >= limit for limit, _ in DISTANCES))]


def compare_labels(real: LabelledImages, fake: LabelledImages) -> LabelTest:
    """Whether both sets hold the classes in the same proportions: chi-squared test of homogeneity
    (two rows, one column per class that occurs) and total variation, 0 (same proportions) .. 1 (no
    class in common). There is no test where one class only occurs."""
    from scipy.stats import chi2_contingency

    counts = np.array([real.counts, fake.counts], dtype=np.float64)
    counts = counts[:, counts.sum(0) > 0]
    shares = counts / counts.sum(1, keepdims=True)
    chi2 = p = degrees = None
    if counts.shape[1] > 1:
        test = chi2_contingency(counts, correction=False)
        chi2, p, degrees = float(test[0]), float(test[1]), int(test[2])
    return LabelTest(
        chi2=chi2,
        p=p,
        degrees=degrees,
        total_variation=float(abs(shares[0] - shares[1]).sum() / 2),
        n_real=len(real),
        n_fake=len(fake),
        balanced=max(fake.counts) - min(fake.counts) <= 1,
        missing=[
            name
            for name, ours, theirs in zip(real.classes, real.counts, fake.counts, strict=True)
            if ours and not theirs
        ],
    )


def classifier_two_sample(real: Tensor, fake: Tensor, *, space: str, seed: int) -> TwoSample:
    """Can a classifier learn to tell the sets apart (Lopez-Paz and Oquab 2017), by the features of
    a ``space``? Accuracy on rows that were not trained on, 5-fold cross-fitted; 0.5 is chance.

    The classifier is a kernel least-squares one (Gaussian kernel of the median distance) on the
    first 50 pooled principal components, so it sees any difference, not of means alone. Both sets
    are cut to the same number of rows. ``p`` is one-sided and comes from 499 permutations of the
    labels within folds, each with its own training: exact, however the folds depend on each other.
    The interval is Wilson's and leaves the scatter between trainings out. Everything is None with
    fewer than 10 rows.
    """
    rows = min(len(real), len(fake), MOST)
    if rows < FEWEST:
        return TwoSample(accuracy=None, ci_low=None, ci_high=None, p=None, n=2 * rows, space=space)
    random = image_rng(seed, Stream.TWO_SAMPLE)
    ours = real[np.sort(random.permutation(len(real))[:rows])]
    theirs = fake[np.sort(random.permutation(len(fake))[:rows])]
    scores = pooled_components(ours, theirs, COMPONENTS)
    points = np.concatenate([scores.real, scores.fake])
    labels = np.repeat([1.0, -1.0], rows)
    fold = np.concatenate([random.permutation(rows) % FOLDS for _ in range(2)])
    right = _right(points, fold, _relabelled(labels, fold, random))  # column 0: the true labels
    at_least = int((right[1:] >= right[0]).sum())
    estimate = wilson(float(right[0]), 2 * rows)
    return TwoSample(
        accuracy=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        p=(1 + at_least) / (1 + PERMUTATIONS),
        n=2 * rows,
        space=space,
    )


def _relabelled(labels: np.ndarray, fold: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """``(rows, 1 + PERMUTATIONS)``: the labels, and permutations of them within each fold."""
    table = np.tile(labels[:, None], (1, 1 + PERMUTATIONS))
    for number in range(FOLDS):
        inside = np.flatnonzero(fold == number)
        block = np.tile(labels[inside, None], (1, PERMUTATIONS))
        table[inside, 1:] = random.permuted(block, axis=0)
    return table


def _right(points: np.ndarray, fold: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Rows classified rightly for each column of labels, ``(1 + PERMUTATIONS,)``. What a
    least-squares classifier predicts is linear in its training labels, so one factorisation of the
    kernel serves all columns."""
    from scipy.linalg import cho_factor, cho_solve

    kernel = _gaussian_kernel(points)
    right = np.zeros(tables.shape[1])
    for number in range(FOLDS):
        test, train = fold == number, fold != number
        gram = kernel[np.ix_(train, train)]
        gram[np.diag_indices_from(gram)] += RIDGE * len(gram)
        weights = cho_solve(cho_factor(gram, lower=True, overwrite_a=True), tables[train])
        predicted = kernel[np.ix_(test, train)] @ weights
        right += (np.sign(predicted) == tables[test]).sum(0)
    return right


def _gaussian_kernel(points: np.ndarray) -> np.ndarray:
    """``(N, N)``, bandwidth: the median distance between different points."""
    norms = np.square(points).sum(1)
    squared = np.maximum(norms[:, None] + norms[None] - 2 * points @ points.T, 0.0)
    positive = squared[squared > 0]
    scale = float(np.median(positive)) if len(positive) else 1.0
    return np.exp(-squared / scale)
