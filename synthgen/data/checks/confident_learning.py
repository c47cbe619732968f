"""Labels that may be wrong: confident learning (Northcutt et al. 2021) on predictions of
classifiers that saw neither the image nor anything that belongs to it.

The classifier is linear discriminant analysis on random features of a Gaussian kernel (Williams and
Seeger 2001) of principal components of the pixels: seconds, whatever the number of classes.

A classifier errs, so some labels look wrong though all are right. How many, is told by a model of
the labels: ``(1 - noise) softmax(scores / temperature) + noise / others``, fitted by maximum
likelihood to the out-of-fold scores. Its first part is what an image leaves open, its second what
no image explains. Labels drawn from the first part alone are clean ones; how many of those are
flagged is the chance rate. Without the second part wrong labels would count as what the images
leave open, and none would stand out.

Seen on sets whose labels are right: 474 of MNIST's 70,000 are flagged, 442 predicted; 11,512 of
30,000 of CIFAR-10, where the classifiers agree with 45 %, 10,893 predicted. With 5 % of MNIST's
labels changed, 3,250 are listed: 92 % of them are wrong, and they are 86 % of all wrong ones. What
is mistaken for another class so often that the classifier learns it (a third of it) isn't found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import printable
from synthgen.progress import track
from synthgen.types import LabelledImages

FOLDS = 5
LEARNED_FROM = 10_000  # images at most that each classifier learns from
FEWEST = 10  # units (images, or what belongs together) of a class whose labels are judged
SIDE, COMPONENTS, KERNELS = 16, 64, 500
WIDTH = 0.5  # of the kernel: exp(-WIDTH d^2), where images lie 1 from their mean
SHRINKAGE = 0.03  # of the covariance of the random features
DRAWS, MOST_DRAWN = 20, 10_000  # sets of clean labels, and labels of each
ROWS = 10_000  # images at a time
STRONG = 0.8  # agreement, from which on mistakes between two classes are told from confusions
EVIDENCE = 5.0  # of noise, in log likelihood: less comes once in a thousand clean sets
# Sets known to be clean had up to 7 % more flags than predicted; five made ones, a third of whose
# labels can't be told from the pictures, had 15 to 28 % more.
SLACK = 1.1
NAMED = 10  # classes in a sentence
UNSEEN = -1e3  # the score of a class that a classifier saw nothing of


@dataclass(frozen=True)
class Doubt:
    """One label that may be wrong.

    Attributes:
        position: of the image.
        suggested: the label that the classifier would give.
        wrong: probability that the given label is wrong, 0..1.
    """

    position: int
    suggested: int
    wrong: float


@dataclass(frozen=True)
class LabelReview:
    """What out-of-fold predictions say about the labels.

    Attributes:
        judged: labels that were looked at.
        left_out: names of the classes that are too small to judge.
        accuracy: share of the judged labels that the classifiers gave too.
        flagged: labels that confident learning flags.
        chance: how many would be flagged if all labels were right: the mean, and the lowest and
            highest of simulated sets.
        noise: estimated share of labels that no image explains.
        doubts: the flagged labels, the most doubtful first.
    """

    judged: int
    left_out: tuple[str, ...]
    accuracy: float
    flagged: int
    chance: tuple[float, float, float]
    noise: float
    doubts: tuple[Doubt, ...]

    @property
    def beyond_chance(self) -> bool:
        return self.flagged > SLACK * self.chance[2]

    @property
    def shown(self) -> tuple[Doubt, ...]:
        """As many of the most doubtful as there are more than clean labels would give."""
        if not self.beyond_chance:
            return ()
        return self.doubts[: max(1, round(self.flagged - self.chance[0]))]

    def left_out_sentence(self, images: int) -> str:
        """Of ``images`` in all, which labels were not judged and why; nothing if all were."""
        if images <= self.judged:
            return ""
        names = [printable(name) for name in self.left_out[:NAMED]]
        more = f" and {len(self.left_out) - NAMED:,} more" if len(self.left_out) > NAMED else ""
        return (
            f"The labels of {images - self.judged:,} images were not judged: their classes have "
            f"fewer than {FEWEST} images that don't belong together ({', '.join(names)}{more})."
        )

    def sentence(self) -> str:
        mean, low, high = self.chance
        found = (
            f"{self.flagged:,} of {self.judged:,} labels ({self.flagged / self.judged:.1%}) look "
            f"wrong to classifiers that agree with {self.accuracy:.0%} of them; if all labels were "
            f"right, about {mean:,.0f} would ({low:,.0f} to {high:,.0f})"
        )
        if not self.beyond_chance:
            return f"{found}: no more than chance, so this says nothing against the labels."
        return f"{found}: about {len(self.shown):,} labels may be wrong; look at them."


def review_labels(
    images: LabelledImages, units: Sequence[Sequence[int]], learned_from: int = LEARNED_FROM
) -> LabelReview | None:
    """Judge each label by classifiers that learned from other images.

    Args:
        images: ``(N, C, H, W)``, uint8 or uint16.
        units: positions that belong together (copies, near duplicates, a patient); no unit is both
            learned from and judged by one classifier.
        learned_from: images at most that each of the five classifiers learns from.

    Returns:
        None if fewer than two classes have ten units.
    """
    unit = np.empty(len(images), dtype=np.int64)
    for number, members in enumerate(units):
        unit[list(members)] = number
    every = images.labels.numpy()
    sizes = [len(np.unique(unit[every == label])) for label in range(len(images.classes))]
    kept = [label for label, size in enumerate(sizes) if size >= FEWEST]
    if len(kept) < 2:
        return None
    places = np.flatnonzero(np.isin(every, kept))
    labels = np.searchsorted(kept, every[places])
    pixels = _pixels(images.images, places)
    scores = _out_of_fold(pixels, labels, unit[places], len(kept), learned_from)
    temperature, noise, mistakes = _fitted(scores, labels)
    open_ = _softmax(scores, temperature)
    flagged, suggested = flags(open_, labels)
    right, by_mistake = _shares(open_, labels, noise, mistakes)
    wrong = by_mistake / np.maximum(right + by_mistake, 1e-30)
    order = np.flatnonzero(flagged)[np.argsort(-wrong[flagged], kind="stable")]
    return LabelReview(
        judged=len(places),
        left_out=tuple(images.classes[i] for i, size in enumerate(sizes) if 0 < size < FEWEST),
        accuracy=float((scores.argmax(axis=1) == labels).mean()),
        flagged=int(flagged.sum()),
        chance=_by_chance(open_),
        noise=noise,
        doubts=tuple(
            Doubt(int(places[i]), kept[suggested[i]], round(float(wrong[i]), 4)) for i in order
        ),
    )


def flags(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The off-diagonal of the confident joint (Northcutt et al. 2021, equations 1 and 2).

    Args:
        probabilities: ``(N, K)``, out of fold.
        labels: int ``(N,)``, as given.

    Returns:
        bool ``(N,)``, whether an image counts confidently as of another class than its label, and
        int ``(N,)``, as which.
    """
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=own, minlength=classes)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    best = confident.argmax(axis=1)
    return (confident.max(axis=1) >= 0) & (best != labels), best


def _pixels(images: Tensor, places: np.ndarray) -> np.ndarray:
    """float32 ``(N, D)``: the images at ``places``, each side at most 16 pixels."""
    height, width = (min(side, SIDE) for side in images.shape[2:])
    parts = []
    for first in range(0, len(places), ROWS):
        part = images[torch.from_numpy(places[first : first + ROWS])].float()
        small = torch.nn.functional.adaptive_avg_pool2d(part, (height, width))
        parts.append(small.flatten(1).numpy())
    return np.concatenate(parts)


def _out_of_fold(
    pixels: np.ndarray, labels: np.ndarray, unit: np.ndarray, classes: int, learned_from: int
) -> np.ndarray:
    """float32 ``(N, classes)``: scores by a classifier that learned from other folds."""
    random = np.random.default_rng(0)
    fold = _folds(labels, unit, random)
    scores = np.full((len(labels), classes), UNSEEN, dtype=np.float32)
    with track(len(labels), "Doubting labels") as advance:
        for number in range(FOLDS):
            others = random.permutation(np.flatnonzero(fold != number))[:learned_from]
            judge = _Judge(pixels[others], labels[others])
            for rows in _in_parts(np.flatnonzero(fold == number)):
                scores[rows[:, None], judge.classes] = judge.scores(pixels[rows])
                advance(len(rows))
    return scores


def _folds(labels: np.ndarray, unit: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Whole units are dealt out in turn, class by class."""
    units, first, which = np.unique(unit, return_index=True, return_inverse=True)
    order = np.lexsort((random.random(len(units)), labels[first]))
    dealt = np.empty(len(units), dtype=np.int64)
    dealt[order] = np.arange(len(units)) % FOLDS
    return dealt[which]


class _Judge:
    """A classifier that learned from ``pixels``, float32 ``(N, D)``, and their labels."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
        from sklearn.kernel_approximation import Nystroem

        self.mean = pixels.mean(axis=0)
        centred = pixels - self.mean
        variances, axes = np.linalg.eigh(centred.T @ centred / len(pixels))
        kept = slice(-min(COMPONENTS, len(variances)), None)
        spread = math.sqrt(max(float(variances[kept].sum()), 1e-12))
        self.axes = axes[:, kept] / spread  # so that images lie about 1 from their mean
        kernels = min(KERNELS, len(pixels))
        self.kernel = Nystroem(gamma=WIDTH, n_components=kernels, random_state=0)
        features = self.kernel.fit_transform(centred @ self.axes)
        self.linear = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
        self.linear.fit(features, labels)
        self.classes = self.linear.classes_

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """``(N, classes)``: log probabilities but for a constant of each row."""
        found = self.linear.decision_function(
            self.kernel.transform((pixels - self.mean) @ self.axes)
        )
        return found if found.ndim == 2 else np.stack([-found / 2, found / 2], axis=1)


def _in_parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(rows), ROWS):
        yield rows[first : first + ROWS]


def _softmax(scores: np.ndarray, temperature: float) -> np.ndarray:
    scaled = scores / np.float32(temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    return scaled / scaled.sum(axis=1, keepdims=True)


def _fitted(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Temperature, noise and where it leads, by maximum likelihood on at most 10,000 labels; no
    noise where the labels are hardly more likely with it (few labels can't tell it from what images
    leave open)."""
    from scipy.optimize import minimize

    some = _some(len(labels))
    scores, labels = scores[some], labels[some]

    def loss(values: np.ndarray, mistakes: np.ndarray) -> float:
        temperature, noise = _parameters(values)
        open_ = _softmax(scores, temperature)
        right, wrong = _shares(open_, labels, noise, mistakes)
        return -float(np.log(right + wrong + 1e-12).sum())

    classes = scores.shape[1]
    counts = np.bincount(labels, minlength=classes) + 1.0
    even = _mistakes(np.ones((classes, classes)), np.ones(classes))
    without = minimize(loss, np.array([1.0]), (even,), method="Nelder-Mead")
    flagged, best = flags(_softmax(scores, _parameters(without.x)[0]), labels)
    joint = np.full((classes, classes), 1 / classes)
    np.add.at(joint, (best[flagged], labels[flagged]), 1)
    best_fit, found = without.fun - EVIDENCE, (*_parameters(without.x), even)
    agreement = (scores.argmax(axis=1) == labels).mean()
    models = (even, _mistakes(joint, counts)) if agreement >= STRONG else (even,)
    for mistakes in models:
        noisy = minimize(loss, np.array([0.0, -3.0]), (mistakes,), method="Nelder-Mead")
        if noisy.fun < best_fit:
            best_fit, found = noisy.fun, (*_parameters(noisy.x), mistakes)
    return found


def _mistakes(seen: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How often each class (rows) gets each wrong label (columns), in units of the mean rate:
    ``seen`` are numbers of mistakes among ``counts`` images of each class."""
    rates = seen / counts[:, None]
    np.fill_diagonal(rates, 0)
    return rates / np.average(rates.sum(axis=1), weights=counts)


def _shares(
    open_: np.ndarray, labels: np.ndarray, noise: float, mistakes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that each given label came about as the right one, and by mistake."""
    own = open_[np.arange(len(labels)), labels].astype(np.float64)
    right = own * np.maximum(1 - noise * mistakes.sum(axis=1), 0)[labels]
    return right, noise * np.einsum("ij,ij->i", open_, mistakes[:, labels].T)


def _parameters(values: np.ndarray) -> tuple[float, float]:
    """Temperature above 0, and noise in 0..1; none if it has no value."""
    temperature, *odds = np.clip(values, -20, 20).tolist()
    return math.exp(temperature), 1 / (1 + math.exp(-odds[0])) if odds else 0.0


def _by_chance(open_: np.ndarray) -> tuple[float, float, float]:
    """Mean, lowest and highest number of flags among labels that are right."""
    random = np.random.default_rng(0)
    some = open_[_some(len(open_))]
    edges = some.cumsum(axis=1)
    found = []
    for _ in range(DRAWS):
        drawn = (edges < random.random((len(some), 1)) * edges[:, -1:]).sum(axis=1)
        found.append(int(flags(some, np.minimum(drawn, some.shape[1] - 1))[0].sum()))
    scale = len(open_) / len(some)
    return float(np.mean(found)) * scale, min(found) * scale, max(found) * scale


def _some(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MOST_DRAWN)).astype(np.int64))
