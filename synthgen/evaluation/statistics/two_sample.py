"""Classifier two-sample test (Lopez-Paz and Oquab 2017): can a classifier learn to tell the sets
apart?"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from synthgen.evaluation.metrics.intervals import wilson
from synthgen.evaluation.statistics.components import pooled_components
from synthgen.seeds import image_rng

FOLDS = 5
PERMUTATIONS = 499
COMPONENTS = 50
RIDGE = 1e-4  # times the number of training rows
MOST = 1000  # rows of each set: the time grows with their cube
FEWEST = 10  # rows of each set, two per fold
STREAM = 211


def classifier_two_sample(real: Tensor, fake: Tensor, *, seed: int) -> dict[str, Any]:
    """Accuracy on rows that were not trained on, 5-fold cross-fitted; 0.5 is chance.

    The classifier is a kernel least-squares one (Gaussian kernel of the median distance) on the
    first 50 pooled principal components, so it sees any difference, not of means alone. Both sets
    are cut to the same number of rows. ``p`` is one-sided and comes from 499 permutations of the
    labels within folds, each with its own training: exact, however the folds depend on each other.
    The interval is Wilson's and leaves the scatter between trainings out. Everything is None with
    fewer than 10 rows.
    """
    rows = min(len(real), len(fake), MOST)
    if rows < FEWEST:
        return {"accuracy": None, "ci_low": None, "ci_high": None, "p": None, "n": 2 * rows}
    random = image_rng(seed, STREAM)
    ours = real[np.sort(random.permutation(len(real))[:rows])]
    theirs = fake[np.sort(random.permutation(len(fake))[:rows])]
    scores = pooled_components(ours, theirs, COMPONENTS)
    points = np.concatenate([scores.real, scores.fake])
    labels = np.repeat([1.0, -1.0], rows)
    fold = np.concatenate([random.permutation(rows) % FOLDS for _ in range(2)])
    right = _right(points, fold, _relabelled(labels, fold, random))  # column 0: the true labels
    at_least = int((right[1:] >= right[0]).sum())
    estimate = wilson(float(right[0]), 2 * rows)
    return {
        "accuracy": estimate.value,
        "ci_low": estimate.low,
        "ci_high": estimate.high,
        "p": (1 + at_least) / (1 + PERMUTATIONS),
        "n": 2 * rows,
    }


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
