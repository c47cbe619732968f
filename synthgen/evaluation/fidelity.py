"""How near a set of images is to the real ones in one feature space, and what stands beside
every value: real against real, and the controls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.evaluation.features import Extractor, InceptionExtractor
from synthgen.evaluation.metrics import (
    Estimate,
    frechet_estimate,
    frechet_infinity_estimate,
    inception_score_estimate,
    kernel_estimates,
    manifold_estimates,
    mind_estimate,
    vendi_estimate,
)
from synthgen.evaluation.metrics.arrays import Strata, StrataOfBoth
from synthgen.evaluation.result import Result, make_result
from synthgen.progress import track
from synthgen.ranges import MAX_PLAN_SEED
from synthgen.samplers.base import FittedSampler
from synthgen.seeds import row_seeds
from synthgen.stats import TOO_FEW
from synthgen.types import LabelledImages, positions_by_class

METRICS = (
    "frechet_distance",
    "frechet_infinity",
    "kid",
    "mmd",
    "mind",
    "precision",
    "recall",
    "density",
    "coverage",
    "vendi",
)
INCEPTION_SCORE = "inception_score"  # only where the features lead to published class scores
FEWEST = 10  # images of each set; balls need six, and below ten the numbers say nothing
DEFINITIONS = (
    "Fréchet distance: covariance with n - 1, float64; at infinite n: intercept of the line in 1/n"
    " through n, n/2 and n/3 images of both sets. KID: squared MMD, all pairs, kernel "
    "(x·y/D + 1)³; unbiased for sets with fixed counts of each class, whose pairs of one class are "
    "weighted by 1/(n_k(n_k - 1)) and the class's squared share. The published estimator takes all "
    "images for drawn freely, and lies lower: it is in settings as plain, for comparing with other "
    "people's numbers. Class shares are those of all real images, unless the set's own differ from "
    "them (p < 0.001). MMD: the same with a Gaussian kernel, its bandwidth the median distance "
    "between real images (in settings). MIND: 3·D times the squared 2-Wasserstein distance along "
    "1,000 fixed directions. Precision and recall: k = 3; density and coverage: k = 5; the ball's "
    "surface belongs to it. Vendi score: cosine similarities of the synthetic images alone. "
    "Inception score: of the synthetic images alone, no splits."
)
INTERVALS = (
    "Fréchet distance, KID and MMD: jackknife over 10 groups of each set, for KID and MMD without "
    "what it counts twice; Fréchet distance at infinite n: over 6 groups, MIND: over 10 groups of "
    "both sets together; Vendi and Inception score: over 10 groups; t quantile. Every group has "
    "its part of each class. Precision, recall, density and coverage: scatter between random "
    "halves of both sets, 20 times halved; Wilson's interval for shares, t for density."
)


@dataclass(frozen=True)
class Computed:
    """Estimates of one computation by name, its time, and the settings that the data chose."""

    estimates: dict[str, Estimate]
    seconds: float
    settings: dict[str, dict[str, float]] = field(default_factory=dict)


def fidelity_results(
    real: Tensor,
    fake: Tensor,
    *,
    extractor: str,
    scope: dict[str, str] | None = None,
    strata: StrataOfBoth | None = None,
    logits: Callable[[Tensor], Tensor] | None = None,
) -> list[Result]:
    """All metrics of float32 ``(N, D)`` features; None below 10 images of either set.

    ``strata`` of the real and the synthetic images, if both sets were drawn class by class.

    ``logits`` turns features into the class scores ``(N, K)`` of the Inception score, which is left
    out without it.
    """
    return [
        make_result(
            f"fidelity/{name}",
            estimate,
            extractor=extractor,
            scope=scope,
            n_real=len(real),
            n_fake=len(fake),
            seconds=computed.seconds / len(computed.estimates),
            settings=computed.settings.get(name),
        )
        for computed in compute(real, fake, strata, logits)
        for name, estimate in computed.estimates.items()
    ]


def compute(
    real: Tensor,
    fake: Tensor,
    strata: StrataOfBoth | None,
    logits: Callable[[Tensor], Tensor] | None,
) -> list[Computed]:
    """Every metric, in the order in which a report lists them."""
    names = METRICS if logits is None else (*METRICS, INCEPTION_SCORE)
    if min(len(real), len(fake)) < FEWEST:
        return [Computed(dict.fromkeys(names, TOO_FEW), 0.0)]
    computed = [
        timed(lambda: {"frechet_distance": frechet_estimate(real=real, fake=fake, strata=strata)}),
        timed(lambda: {"frechet_infinity": infinity(real, fake, strata)}),
        kernels(real, fake, strata),
        timed(lambda: {"mind": mind_estimate(real=real, fake=fake, strata=strata)}),
        timed(lambda: manifold_estimates(real=real, fake=fake)),
        timed(lambda: {"vendi": vendi_estimate(fake=fake, strata=strata and strata[1])}),
    ]
    if logits is not None:
        scores = logits(fake)
        computed.append(
            timed(
                lambda: {
                    INCEPTION_SCORE: inception_score_estimate(
                        fake_logits=scores, strata=strata and strata[1]
                    )
                }
            )
        )
    return computed


def logits_of(extractor: Extractor) -> Callable[[Tensor], Tensor] | None:
    """What turns features into class scores; only Inception's are those of the Inception score."""
    return extractor.logits if isinstance(extractor, InceptionExtractor) else None


def timed(metric: Callable[[], dict[str, Estimate]]) -> Computed:
    started = time.perf_counter()
    return Computed(metric(), time.perf_counter() - started)


def infinity(real: Tensor, fake: Tensor, strata: StrataOfBoth | None) -> Estimate:
    labels = [side.labels for side in strata] if strata else [None, None]
    return frechet_infinity_estimate(
        real=real, fake=fake, real_strata=labels[0], fake_strata=labels[1]
    )


def kernels(real: Tensor, fake: Tensor, strata: StrataOfBoth | None = None) -> Computed:
    started = time.perf_counter()
    found = kernel_estimates(real=real, fake=fake, strata=strata)
    return Computed(
        {"kid": found.kid, "mmd": found.mmd},
        time.perf_counter() - started,
        {"mmd": {"bandwidth": found.bandwidth}}
        | ({"kid": {"plain": found.plain_kid}} if strata else {}),
    )


def fidelity_by_class(
    real: Tensor,
    real_labels: Tensor,
    fake: Tensor,
    fake_labels: Tensor,
    *,
    extractor: str,
    classes: tuple[str, ...],
    logits: Callable[[Tensor], Tensor] | None = None,
) -> list[Result]:
    """The metrics of each class against the real images of that class."""
    results = []
    with track(len(classes), f"fidelity by class ({extractor})", "classes") as advance:
        for label, name in enumerate(classes):
            results += fidelity_results(
                real[real_labels == label],
                fake[fake_labels == label],
                extractor=extractor,
                scope={"class": name},
                logits=logits,
            )
            advance(1)
    return results


# The controls that stand beside every model: copies of real images, noise, and cheap Gaussians.

CONTROL_IMAGES = 10_000  # at most, in proportion to the synthetic set's classes


def draw_controls(
    train: LabelledImages, labels: torch.Tensor, seed: int
) -> tuple[dict[str, LabelledImages], list[str]]:
    """One set per control with exactly ``labels``, and a sentence for each that can't be drawn."""
    from synthgen.samplers.controls import Bootstrap, Noise
    from synthgen.samplers.statistical import PCAGaussian

    samplers: dict[str, type[FittedSampler]] = {
        "bootstrap": Bootstrap,
        "noise": Noise,
        "pca_gaussian": PCAGaussian,
    }
    seeds = row_seeds(seed % MAX_PLAN_SEED, 0, len(labels))
    drawn, problems = {}, []
    for name, sampler_class in samplers.items():
        sampler = sampler_class(train.image)
        try:
            sampler.fit(train)
        except SynthgenError as error:
            problems.append(f"The control {name} is missing: {str(error).splitlines()[0]}")
            continue
        samples = sampler.sample(labels, seeds)
        drawn[name] = LabelledImages(samples.images, samples.labels, train.classes)
    return drawn, problems


OTHER_SHARES = 0.001  # chance of the counts below which a set has class shares of its own
CONTROL_NOTES = {
    "bootstrap": "{n:,} copies of real training images, drawn with replacement",
    "noise": "{n:,} images of uniform noise",
    "pca_gaussian": "{n:,} images from one Gaussian per class in its principal components",
}


@dataclass(frozen=True)
class FeatureSet:
    """Features ``(N, D)`` with the labels ``(N,)`` of the same images, and the class shares, float
    ``(classes,)``, of what they stand for (None: their own)."""

    features: Tensor
    labels: Tensor
    shares: Tensor | None = None

    @property
    def strata(self) -> Strata:
        return Strata(self.labels, self.shares)

    def at_most(self, count: int) -> FeatureSet:
        """A subset in the classes' proportions; the whole set if it has no more."""
        positions = positions_by_class(self.labels, count)
        return FeatureSet(self.features[positions], self.labels[positions], self.shares)

    def __len__(self) -> int:
        return len(self.features)


def extract_set(
    extractor: Extractor,
    images: LabelledImages,
    at_most: int,
    what: str,
    population: Tensor | None = None,
) -> FeatureSet:
    """Features of ``at_most`` images; ``population`` int64 ``(classes,)`` counts all real ones."""
    chosen = positions_by_class(images.labels, at_most)
    features = extractor.extract(images.images[chosen], f"{extractor.name}: {what}")
    shares = None if population is None else shared(torch.tensor(images.counts), population)
    return FeatureSet(features, images.labels[chosen], shares)


def shared(counts: Tensor, population: Tensor) -> Tensor | None:
    """The population's class shares, if a set with these ``counts`` (both int64 ``(classes,)``)
    could have been drawn from it, freely or class by class; None if its shares are others."""
    from scipy.stats import chi2_contingency

    present = population + counts > 0
    table = torch.stack([counts, population])[:, present].numpy()
    if table.shape[1] > 1 and chi2_contingency(table, correction=False).pvalue < OTHER_SHARES:
        return None
    return population / population.sum()


def fidelity_references(
    *,
    extractor: str,
    reference: str,
    held_back: str,
    train: FeatureSet,
    holdout: FeatureSet,
    test: FeatureSet,
    synthetic: FeatureSet,
    controls: dict[str, FeatureSet],
    logits: Callable[[Tensor], Tensor] | None = None,
) -> list[dict[str, Any]]:
    """Overall fidelity of everything that the model's own values are read against. The real side
    always has as many images as the test side of the model's value. ``reference`` and
    ``held_back`` say what ``test`` and ``holdout`` are."""
    floor = min(len(holdout), len(synthetic))
    same = min(len(train), len(synthetic))
    comparisons = [
        (
            "floor",
            test,
            holdout.at_most(floor),
            f"real {held_back} images against real {reference} images, "
            f"{floor:,} against {len(test):,}",
        ),
        (
            "model_at_floor_n",
            test,
            synthetic.at_most(floor),
            f"the synthetic set cut down to the floor's {floor:,} images",
        ),
        (
            "train",
            train.at_most(len(test)),
            synthetic,
            f"the synthetic set against {min(len(test), len(train)):,} of {len(train):,} real "
            f"training images, as many as there are {reference} images; nearer than to the "
            f"{reference} images is usual where the space was learned from them, and no proof of "
            "copying",
        ),
        (
            "real_at_same_n",
            test,
            train.at_most(same),
            f"{same:,} real training images in place of the {len(synthetic):,} synthetic ones",
        ),
        *(
            (name, test, control, CONTROL_NOTES[name].format(n=len(control)))
            for name, control in controls.items()
        ),
    ]
    found = []
    with track(len(comparisons), f"references ({extractor})", "comparisons") as advance:
        for name, real, fake, note in comparisons:
            results = fidelity_results(
                real.features,
                fake.features,
                extractor=extractor,
                strata=(real.strata, fake.strata),
                logits=logits,
            )
            found += as_references(name, results, note)
            advance(1)
    return found


def as_references(name: str, results: Iterable[Result], note: str) -> list[dict[str, Any]]:
    return [{**result.to_json(), "reference": name, "note": note} for result in results]
