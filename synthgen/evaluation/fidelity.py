"""How near a set of images is to the real ones in one feature space, and what stands beside
every value: real against real, and the controls."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.evaluation.features import Extractor, InceptionExtractor
from synthgen.evaluation.result import make_result
from synthgen.evaluation.schema import Reference, Result
from synthgen.metrics import STANDARD, Comparison, Metric
from synthgen.metrics.arrays import Strata
from synthgen.progress import track
from synthgen.ranges import MAX_PLAN_SEED
from synthgen.samplers.base import FittedSampler
from synthgen.seeds import row_seeds
from synthgen.stats import TOO_FEW
from synthgen.types import LabelledImages, positions_by_class

FEWEST = Metric.fewest  # images of each set; below ten the numbers say nothing
CONTROL_IMAGES = 10_000  # at most, in proportion to the synthetic set's classes
OTHER_SHARES = 0.001  # chance of the counts below which a set has class shares of its own
CONTROL_NOTES = {
    "bootstrap": "{n:,} copies of real training images, drawn with replacement",
    "noise": "{n:,} images of uniform noise",
    "pca_gaussian": "{n:,} images from one Gaussian per class in its principal components",
}


def fidelity_results(
    sets: Comparison,
    *,
    extractor: str,
    metrics: Sequence[Metric] = STANDARD,
    scope: dict[str, str] | None = None,
) -> list[Result]:
    """Every metric that the space of features allows; None below as many images of either set as it
    needs. What several metrics share takes time of the first of them.

    Raises:
        SynthgenError: a value or an end of its interval is no finite number.
    """
    found = []
    for metric in metrics:
        if not metric.applies_to(sets):
            continue
        few = min(len(sets.real), len(sets.fake)) < metric.fewest
        started = time.perf_counter()
        estimate = TOO_FEW if few else metric.estimate(sets)
        if any(part is not None and not math.isfinite(part) for part in estimate):
            raise SynthgenError(
                f"The metric {metric.name} gave {estimate.value} (interval {estimate.low} to "
                f"{estimate.high}) in the space {extractor}.\n"
                "Leave it out of metric=, or mend it: a value and its interval must be finite."
            )
        found.append(
            make_result(
                f"fidelity/{metric.name}",
                estimate,
                label=metric.label,
                higher_is_better=metric.higher_is_better,
                extractor=extractor,
                scope=scope,
                n_real=len(sets.real),
                n_fake=len(sets.fake),
                seconds=time.perf_counter() - started,
                settings=None if few else metric.settings(sets),
            )
        )
    return found


def definitions(metrics: Sequence[Metric]) -> str:
    """What was computed, a sentence per metric."""
    return " ".join(f"{metric.label}: {metric.definition}." for metric in metrics)


def intervals(metrics: Sequence[Metric]) -> str:
    """Where the intervals come from, a sentence for all metrics that share it."""
    alike: dict[str, list[str]] = {}
    for metric in metrics:
        alike.setdefault(metric.interval, []).append(metric.label)
    said = [f"{', '.join(labels)}: {interval}." for interval, labels in alike.items()]
    return " ".join([*said, "Every group has its part of each class."])


def logits_of(extractor: Extractor) -> Callable[[Tensor], Tensor] | None:
    """What turns features into class scores; only Inception's are those of the Inception score."""
    return extractor.logits if isinstance(extractor, InceptionExtractor) else None


def fidelity_by_class(
    real: Tensor,
    real_labels: Tensor,
    fake: Tensor,
    fake_labels: Tensor,
    *,
    extractor: str,
    classes: tuple[str, ...],
    metrics: Sequence[Metric] = STANDARD,
    logits: Callable[[Tensor], Tensor] | None = None,
) -> list[Result]:
    """The metrics of each class against the real images of that class."""
    results = []
    with track(len(classes), f"fidelity by class ({extractor})", "classes") as advance:
        for label, name in enumerate(classes):
            own = Comparison(real[real_labels == label], fake[fake_labels == label], None, logits)
            results += fidelity_results(
                own, extractor=extractor, metrics=metrics, scope={"class": name}
            )
            advance(1)
    return results


def draw_controls(
    train: LabelledImages, labels: torch.Tensor, seed: int
) -> tuple[dict[str, LabelledImages], list[str]]:
    """The controls that stand beside every model (copies of real images, noise, cheap Gaussians):
    one set each with exactly ``labels``, and a sentence for each that can't be drawn."""
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
    metrics: Sequence[Metric] = STANDARD,
    logits: Callable[[Tensor], Tensor] | None = None,
) -> list[Reference]:
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
                compared(real, fake, logits), extractor=extractor, metrics=metrics
            )
            found += as_references(name, results, note)
            advance(1)
    return found


def compared(
    real: FeatureSet, fake: FeatureSet, logits: Callable[[Tensor], Tensor] | None
) -> Comparison:
    return Comparison(real.features, fake.features, (real.strata, fake.strata), logits)


def as_references(name: str, results: Iterable[Result], note: str) -> list[Reference]:
    return [Reference(**dict(result), reference=name, note=note) for result in results]
