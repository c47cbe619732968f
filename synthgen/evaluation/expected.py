"""How long an evaluation will take, from rates measured on this machine just before."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from synthgen.data.splits import Splits
from synthgen.evaluation.classifiers import Classifier, ClassifierRequest, TrainingRecipe
from synthgen.evaluation.classifiers.extractor import ClassifierExtractor
from synthgen.evaluation.classifiers.scores import recall_of, score_estimate
from synthgen.evaluation.classifiers.sklearn import EstimatorClassifier
from synthgen.evaluation.features import Extractor
from synthgen.evaluation.fidelity import CONTROL_IMAGES, FEWEST, fidelity_results
from synthgen.evaluation.transfer import ARMS
from synthgen.evaluation.trial import Trial
from synthgen.metrics import (
    Comparison,
    frechet_distance,
    kernel_estimates,
    manifold_estimates,
    mind_estimate,
)
from synthgen.types import LabelledImages, spread_by_class

STEPS = (5, 25)  # optimizer steps that are tried: the difference is the rate
FITTED = 300  # images that a classifier is tried with which is fitted in one go
ROWS = 700  # feature rows of each set that metrics are tried with
EXTRACTED = 16  # images that an extractor is tried with
CONTROLS = 4  # trainings for controls, and for as many real images
COMPARISONS = 8  # of whole sets in each space: the set's own, and its references
CLASSIFIER_FEATURES = 128
DIRECTIONS_MORE = 10.0  # MIND's time over that of 50 directions
DISTANCES = 80  # Fréchet distances that one comparison takes, jackknives and extrapolation included
FORWARD_SHARE = 0.4  # of a training step's time that its images take forwards alone


def expected_seconds(
    splits: Splits,
    synthetic: LabelledImages,
    *,
    extractors: Sequence[Extractor],
    classifier: Classifier,
    seeds: int,
    trial: Trial | None,
) -> float:
    """Wall-clock seconds, honest to about a factor of 2 (pictures, searches for copies and the page
    are left out, whole sets counted at their full size throughout). Trying takes some seconds and
    changes nothing that is measured later."""
    trained = len(ARMS) * seeds if trial is None else trial_trainings(trial)
    found = (trained + CONTROLS) * training_seconds(classifier, splits)
    found += by_class_seconds(splits, seeds)
    for extractor in extractors:
        found += space_seconds(extractor, splits, synthetic)
    return found


def expectation(splits: Splits, synthetic: LabelledImages, seconds: float) -> str:
    return (
        f"Evaluating {len(synthetic):,} synthetic against {len(splits.test):,} real "
        f"{splits.reference} images, {len(splits.test.classes):,} classes: about "
        f"{in_words(seconds)}."
    )


def in_words(seconds: float) -> str:
    """``40 seconds``, ``3 minutes``, ``2 hours``: as exact as an expectation is."""
    for size, name in ((3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(5, 5 * round(seconds / 5))} seconds"


def trial_trainings(trial: Trial) -> int:
    """As many as its options can ask for."""
    alternatives = (trial.ratios, trial.shares, trial.augmentations, trial.arms)
    return trial.seeds * (len(ARMS) + sum(len(one) for one in alternatives))


def timed(work: Callable[[], object]) -> float:
    """Seconds of the faster of two runs: the first may load what others need too."""
    return min(elapsed(work), elapsed(work))


def elapsed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def per_step(work: Callable[[int], object], steps: int) -> float:
    """Seconds of ``steps`` optimizer steps, from two short runs after one that warms up."""
    few, more = STEPS
    work(few)
    short, long = elapsed(lambda: work(few)), elapsed(lambda: work(more))
    rate = max(long - short, 0.0) / (more - few)
    return max(short - few * rate, 0.0) + steps * rate


def training_seconds(classifier: Classifier, splits: Splits) -> float:
    """One classifier, trained and asked."""

    def examine(data: LabelledImages, steps: int) -> None:
        classifier.examine(
            ClassifierRequest(
                recipe=TrainingRecipe(data=data),
                seed=0,
                steps=steps,
                holdout=splits.holdout,
                exams={"test": splits.test.images},
                description="time",
            )
        )

    steps = classifier.steps_for(splits.train)
    if isinstance(classifier, EstimatorClassifier):
        few = spread_by_class(splits.train, FITTED)
        return elapsed(lambda: examine(few, steps)) * len(splits.train) / len(few)
    return per_step(lambda some: examine(splits.train, some), steps)


def by_class_seconds(splits: Splits, seeds: int) -> float:
    """Recall of each class in each arm."""
    test, classes = splits.test, len(splits.test.classes)
    said = [test.labels.roll(seed + 1) for seed in range(seeds)]

    def one() -> None:
        score_estimate(
            recall_of(0), test.labels, said, classes, among=test.labels == 0,
            groups=splits.test_groups,
        )  # fmt: skip

    one()
    return len(ARMS) * classes * timed(one)


def space_seconds(extractor: Extractor, splits: Splits, synthetic: LabelledImages) -> float:
    """Features of all sets, and every comparison of them."""
    most = extractor.max_images
    real, fake = min(most, len(splits.test)), min(most, len(synthetic))
    control = min(most, CONTROL_IMAGES, len(synthetic))
    images = min(extractor.max_searched, len(splits.train)) + real + fake + 3 * control
    images += min(most, len(splits.holdout))
    if isinstance(extractor, ClassifierExtractor):
        size = CLASSIFIER_FEATURES
        steps = extractor.steps_for(splits.train)
        prepared = per_step(lambda some: learn(extractor, splits.train, some), steps)
        extracted = images * FORWARD_SHARE * prepared / steps / extractor.train_batch_size
    else:
        prepared = timed(lambda: extractor.prepare(splits.train, 0))
        tried = splits.train.images[:EXTRACTED]
        size = extractor.compute(tried).shape[1]
        extracted = timed(lambda: extractor.compute(tried)) * images / len(tried)
    classes = len(splits.test.classes)
    whole = COMPARISONS * comparison_seconds(real, fake, size)
    return prepared + extracted + whole + class_seconds(real, fake, size, classes)


def learn(extractor: ClassifierExtractor, train: LabelledImages, steps: int) -> None:
    extractor.train_network(train, steps, 0, lambda step, network: None)


def comparison_seconds(n_real: int, n_fake: int, size: int) -> float:
    """All metrics of whole sets: some by pairs of images, some by images, some by features."""
    real, fake = (rows(min(ROWS, count), size, count) for count in (n_real, n_fake))
    if min(len(real), len(fake)) < FEWEST:
        return 0.0
    pairs = (n_real + n_fake) ** 2 / (len(real) + len(fake)) ** 2
    images = (n_real + n_fake) / (len(real) + len(fake))
    by_pairs = timed(
        lambda: (kernel_estimates(real=real, fake=fake), manifold_estimates(real=real, fake=fake))
    )
    by_images = DIRECTIONS_MORE * timed(lambda: mind_estimate(real=real, fake=fake, directions=50))
    real, fake = (rows(min(2 * size, count), size, count) for count in (n_real, n_fake))
    by_features = DISTANCES * timed(lambda: frechet_distance(real=real, fake=fake))
    return pairs * by_pairs + images * by_images + by_features


def class_seconds(n_real: int, n_fake: int, size: int, classes: int) -> float:
    """All metrics of each class."""
    real, fake = (rows(min(ROWS, count // classes), size, count) for count in (n_real, n_fake))
    if min(len(real), len(fake)) < FEWEST:
        return 0.0
    more = (n_real + n_fake) / classes / (len(real) + len(fake))
    return (
        classes * more * timed(lambda: fidelity_results(Comparison(real, fake), extractor="time"))
    )


def rows(count: int, size: int, seed: int) -> torch.Tensor:
    """float32 ``(count, size)``: as good as features where only time is asked for."""
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))
