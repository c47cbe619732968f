"""What stands beside every value: real against real, the same set elsewhere, and the controls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthgen.evaluation.features import Extractor
from synthgen.evaluation.fidelity import fidelity_results
from synthgen.evaluation.metrics.strata import Strata
from synthgen.evaluation.result import Result
from synthgen.evaluation.subsets import positions_by_class
from synthgen.progress import track
from synthgen.types import LabelledImages

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
