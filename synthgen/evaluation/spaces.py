"""Everything that one feature space contributes to a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from synthgen.data.splits import Splits
from synthgen.evaluation.copy_search import (
    NEAREST,
    PER_CLASS,
    Search,
    closest_pairs,
    rows,
)
from synthgen.evaluation.copy_tests import Twins
from synthgen.evaluation.copying import find_copies, in_images, planted_features
from synthgen.evaluation.features import Extractor
from synthgen.evaluation.fidelity import (
    FeatureSet,
    compared,
    extract_set,
    fidelity_by_class,
    fidelity_references,
    fidelity_results,
    logits_of,
)
from synthgen.evaluation.figures import MOST_CLASSES, neighbour_figure, shown_as
from synthgen.evaluation.schema import Copying, Figure, Neighbours, Reference, Result
from synthgen.metrics import STANDARD, Metric
from synthgen.types import LabelledImages, positions_by_class


@dataclass(frozen=True)
class Space:
    """Fidelity in one extractor's space: results, references, and what lies nearest.

    ``copying`` is described in ``synthgen.evaluation.copying``; its positions are images. ``test``
    and ``fake`` are the features that were compared.
    """

    results: list[Result]
    references: list[Reference]
    neighbours: Neighbours
    figure: Figure
    copying: Copying
    test: FeatureSet
    fake: FeatureSet


def measure_space(
    extractor: Extractor,
    splits: Splits,
    synthetic: LabelledImages,
    controls: dict[str, LabelledImages],
    folder: Path,
    twins: Twins | None = None,
    metrics: Sequence[Metric] = STANDARD,
) -> Space:
    """Extract each set once, then compare. ``extractor`` must be prepared; writes one figure.
    ``twins`` are the exact copies, which need no space."""
    most, name = extractor.max_images, extractor.name
    everything = (splits.train, splits.holdout, splits.test)
    real = torch.tensor([images.counts for images in everything]).sum(0)

    def extract(images: LabelledImages, at_most: int, what: str) -> FeatureSet:
        return extract_set(extractor, images, at_most, what, real)

    train = extract(splits.train, extractor.max_searched, "training images")
    holdout = extract(splits.holdout, most, f"{splits.held_back} images")
    test = extract(splits.test, most, f"{splits.reference} images")
    fake = extract(synthetic, most, "synthetic images")
    control_sets = {control: extract(images, most, control) for control, images in controls.items()}
    logits = logits_of(extractor)
    whole = compared(test, fake, logits)
    results = fidelity_results(whole, extractor=name, metrics=metrics)
    results += fidelity_by_class(
        test.features,
        test.labels,
        fake.features,
        fake.labels,
        extractor=name,
        classes=splits.test.classes,
        metrics=metrics,
        logits=logits,
    )
    references = fidelity_references(
        extractor=name,
        reference=splits.reference,
        held_back=splits.held_back,
        train=train.at_most(most),
        holdout=holdout,
        test=test,
        synthetic=fake,
        controls=control_sets,
        metrics=metrics,
        logits=logits,
    )
    neighbours, figure = find_neighbours(
        extractor, splits.train, synthetic, train, fake, test, folder
    )
    in_synthetic = positions_by_class(synthetic.labels, most)
    in_train = positions_by_class(splits.train.labels, extractor.max_searched)
    known = None
    if splits.reference != "test":  # the generator knew the held-back part too
        in_cut = positions_by_class(splits.holdout.labels, most) + len(splits.train)
        in_train = torch.cat([in_train, in_cut])
        known = FeatureSet(
            torch.cat([train.features, holdout.features]), torch.cat([train.labels, holdout.labels])
        )
    copying = find_copies(
        extractor=name,
        reference=splits.reference,
        train=train,
        holdout=holdout,
        test=test,
        synthetic=fake,
        twins=twins,
        planted=planted_features(extractor, splits.train),
        positions=in_synthetic,
        known=known,
    )
    return Space(
        results,
        references,
        neighbours,
        figure,
        in_images(copying, in_synthetic, in_train),
        test,
        fake,
    )


def find_neighbours(
    extractor: Extractor,
    train_images: LabelledImages,
    synthetic: LabelledImages,
    train: FeatureSet,
    fake: FeatureSet,
    test: FeatureSet,
    folder: Path,
) -> tuple[Neighbours, Figure]:
    """The report's ``neighbours`` and ``figures`` entries, and the PNG that they name."""
    search = closest_pairs(
        train=train.features,
        synthetic=fake.features,
        synthetic_labels=fake.labels,
        test=test.features,
        test_labels=test.labels,
    )
    in_train = positions_by_class(train_images.labels, extractor.max_searched)
    in_synthetic = positions_by_class(synthetic.labels, extractor.max_images)
    file = f"figures/neighbours_{extractor.name}.png"
    neighbour_figure(
        [
            (
                synthetic.classes[pair.label],
                synthetic.subset(in_synthetic[pair.synthetic][None]).pictures[0],
                train_images.subset(in_train[pair.training]).pictures,
            )
            for pair in search.pairs
        ],
        folder / file,
        across=PER_CLASS,
    )
    table = Neighbours(
        figure=file,
        extractor=extractor.name,
        rows=rows(search, synthetic.classes),
        searched=search.searched,
        share_closer_than_median_real=search.closer,
    )
    shown = caption(search, extractor.name, len(synthetic.classes)) + shown_as(synthetic)
    return table, Figure(file=file, kind="neighbours", label=None, caption=shown)


def caption(search: Search, extractor: str, classes: int) -> str:
    """What is shown, out of how many, by which distance."""
    cut = (
        f" The first {MOST_CLASSES} of {classes} classes are shown."
        if classes > MOST_CLASSES
        else ""
    )
    return (
        f"Per class the synthetic images closest to a training image (of {search.searched:,} "
        f"looked at), each followed by its {NEAREST} nearest of {search.training:,} training "
        f"images by distance in the space {extractor}.{cut}"
    )
