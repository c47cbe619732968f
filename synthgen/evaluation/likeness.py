"""How like the real images the synthetic ones are: metrics, copying, statistics, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthgen.data.splits import Splits
from synthgen.evaluation import sentences
from synthgen.evaluation.copying import aligned_copies
from synthgen.evaluation.fairness import add_coverage
from synthgen.evaluation.features import Extractor
from synthgen.evaluation.fidelity import FEWEST
from synthgen.evaluation.findings import Findings
from synthgen.evaluation.metrics.halves import halved
from synthgen.evaluation.metrics.manifold import DENSITY_NEIGHBOURS, membership, points
from synthgen.evaluation.pictures import class_grid
from synthgen.evaluation.portraits import copy_figure, embedding_map, spectra, typical_grid
from synthgen.evaluation.spaces import Space, measure_space
from synthgen.evaluation.statistics import compare_statistics
from synthgen.evaluation.subsets import positions_by_class
from synthgen.evaluation.twins import Twins, find_twins
from synthgen.types import LabelledImages


def add_class_grid(
    found: Findings, splits: Splits, synthetic: LabelledImages, folder: Path
) -> None:
    """The first figure: what the classes look like, real beside synthetic."""
    file = "figures/class_grid.png"
    caption = class_grid(splits.test, synthetic, folder / file, reference=splits.reference)
    figure = {"file": file, "kind": "class_grid", "class": None, "caption": caption}
    found.figures.append(figure)


def add_fidelity(
    found: Findings,
    splits: Splits,
    synthetic: LabelledImages,
    controls: dict[str, LabelledImages],
    extractors: Sequence[Extractor],
    seed: int,
    folder: Path,
) -> None:
    """Every feature space in turn, and what needs none."""
    features = {}
    twins = add_copies(found, splits, synthetic, folder)
    for extractor in extractors:
        extractor.prepare(splits.train, seed)
        space = measure_space(extractor, splits, synthetic, controls, folder, twins)
        found.results += space.results
        found.references += space.references
        found.neighbours.append(space.neighbours)
        found.figures.append(space.figure)
        found.sentences += sentences.fidelity_sentences(
            space.results, space.references, extractor.name, splits.reference
        )
        found.sentences.append(
            sentences.closeness_sentence(space.neighbours, splits.reference, space.copying)
        )
        found.sentences += sentences.extractor_sentence(extractor.name)
        found.copying[extractor.name] = space.copying
        found.sentences.append(space.copying["sentence"])
        features[extractor.name] = (space.test.features, space.fake.features)
        if extractor is extractors[0]:
            add_reach(found, splits, space, extractor)
        add_portraits(found, splits, synthetic, space, extractor, folder)
    found.statistics = compare_statistics(splits.test, synthetic, features=features, seed=seed)
    figure = spectra(splits.test.images, synthetic.images, folder)
    found.figures += [figure] if figure else []


def add_copies(found: Findings, splits: Splits, synthetic: LabelledImages, folder: Path) -> Twins:
    """Copies by their pixels, whatever the extractors: equal ones, and near ones that may be
    shifted, mirrored or brightened. While choosing, the generator knew the held-back images too."""
    known = splits.known
    strangers = [splits.test, splits.holdout] if known is splits.train else [splits.test]
    twins = find_twins(
        synthetic,
        [known],
        strangers,
    )
    name, copies = aligned_copies(
        train=known,
        held_back=strangers,
        synthetic=synthetic,
        reference=splits.reference,
        twins=twins,
    )
    found.copying[name] = copies
    found.sentences.append(copies["sentence"])
    figure = copy_figure(
        copies["pairs"],
        synthetic.images,
        known.images,
        folder,
        extractor=name,
        file=f"figures/copies_{name}.png",
    )
    found.figures += [figure] if figure else []
    return twins


def add_reach(found: Findings, splits: Splits, space: Space, extractor: Extractor) -> None:
    """How much of each class and group the synthetic images cover, in one feature space."""
    if found.fairness is None or min(len(space.test.labels), len(space.fake.labels)) < FEWEST:
        return
    pair = points(space.test.features, space.fake.features, DENSITY_NEIGHBOURS)
    sizes = DENSITY_NEIGHBOURS, DENSITY_NEIGHBOURS
    parts = halved(*pair, *sizes)
    compared = positions_by_class(splits.test.labels, extractor.max_images)
    column = splits.test_attributes
    add_coverage(
        found.fairness,
        space.test.labels,
        classes=splits.test.classes,
        covered=membership(*pair, *sizes).covered,
        of_halves=parts.covered,
        half=parts.real_half,
        space=extractor.name,
        groups=[column[i] for i in compared.tolist()] if column else None,
    )


def add_portraits(
    found: Findings,
    splits: Splits,
    synthetic: LabelledImages,
    space: Space,
    extractor: Extractor,
    folder: Path,
) -> None:
    """Figures of a whole set in one feature space: typical and odd images, a map, copied pairs."""
    name = extractor.name
    measured = synthetic.subset(positions_by_class(synthetic.labels, extractor.max_images))
    figures = [
        typical_grid(
            measured,
            space.fake.features,
            space.test.features,
            space.test.labels,
            folder,
            extractor=name,
            file=f"figures/typical_{name}.png",
        ),
        embedding_map(
            space.test.features,
            space.test.labels,
            space.fake.features,
            space.fake.labels,
            synthetic.classes,
            folder,
            extractor=name,
            file=f"figures/embedding_map_{name}.svg",
        ),
        copy_figure(
            space.copying["pairs"],
            synthetic.images,
            splits.known.images,
            folder,
            extractor=name,
            file=f"figures/copies_{name}.png",
        ),
    ]
    found.figures += [figure for figure in figures if figure is not None]
