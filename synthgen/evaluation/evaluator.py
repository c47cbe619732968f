"""Evaluate a synthetic set against real images, and write the report's folder."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from synthgen.data.splits import Splits
from synthgen.dataset.source import SyntheticSet
from synthgen.evaluation import checks, expected, narrative, provenance
from synthgen.evaluation.classifiers import Classifier
from synthgen.evaluation.copy_tests import Twins, find_twins
from synthgen.evaluation.copying import aligned_copies
from synthgen.evaluation.fairness import with_coverage
from synthgen.evaluation.features import Extractor
from synthgen.evaluation.fidelity import CONTROL_IMAGES, FEWEST, draw_controls
from synthgen.evaluation.figures import (
    class_grid,
    copy_figure,
    embedding_map,
    shown_as,
    spectra,
    typical_grid,
)
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.result import Findings
from synthgen.evaluation.review import choose_questions, write_review
from synthgen.evaluation.schema import Curves, Figure
from synthgen.evaluation.spaces import Space, measure_space
from synthgen.evaluation.statistical_tests import compare_statistics
from synthgen.evaluation.transfer import add_transfer, add_transfer_references, add_trial
from synthgen.evaluation.trial import Trial, run_trial
from synthgen.io import new_folder, write_json
from synthgen.metrics import STANDARD, Metric
from synthgen.metrics.manifold import DENSITY_NEIGHBOURS, halved, membership, points
from synthgen.samplers.base import Sampler
from synthgen.types import LabelledImages, positions_by_class, spread_by_class

REVIEW = "review"  # folder of the expert's page and its key

log = logging.getLogger(__name__)


def add_class_grid(
    found: Findings, splits: Splits, synthetic: LabelledImages, folder: Path
) -> None:
    """The first figure: what the classes look like, real beside synthetic."""
    file = "figures/class_grid.png"
    caption = class_grid(splits.test, synthetic, folder / file, reference=splits.reference)
    found.figures.append(Figure(file=file, kind="class_grid", label=None, caption=caption))


def add_fidelity(
    found: Findings,
    splits: Splits,
    synthetic: LabelledImages,
    controls: dict[str, LabelledImages],
    extractors: Sequence[Extractor],
    metrics: Sequence[Metric],
    seed: int,
    folder: Path,
) -> None:
    """Every feature space in turn, and what needs none."""
    features = {}
    twins = add_copies(found, splits, synthetic, folder)
    for extractor in extractors:
        extractor.view = splits.train.view
        extractor.prepare(splits.train, seed)
        space = measure_space(extractor, splits, synthetic, controls, folder, twins, metrics)
        found.results += space.results
        found.references += space.references
        found.neighbours.append(space.neighbours)
        found.figures.append(space.figure)
        found.sentences += narrative.fidelity_sentences(
            space.results, space.references, extractor.name, splits.reference
        )
        found.sentences.append(
            narrative.closeness_sentence(space.neighbours, splits.reference, space.copying)
        )
        found.sentences += narrative.extractor_sentence(extractor.name)
        found.copying[extractor.name] = space.copying
        found.sentences.append(space.copying.sentence)
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
    found.sentences.append(copies.sentence)
    figure = copy_figure(
        copies.pairs,
        synthetic.pictures,
        known.pictures,
        folder,
        extractor=name,
        file=f"figures/copies_{name}.png",
        note=shown_as(synthetic),
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
    found.fairness = with_coverage(
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
            space.copying.pairs,
            synthetic.pictures,
            splits.known.pictures,
            folder,
            extractor=name,
            file=f"figures/copies_{name}.png",
            note=shown_as(synthetic),
        ),
    ]
    found.figures += [figure for figure in figures if figure is not None]


def evaluate(
    splits: Splits,
    synthetic: SyntheticSet,
    out: Path,
    *,
    extractors: Sequence[Extractor],
    classifier: Classifier,
    metrics: Sequence[Metric] = STANDARD,
    seeds: int = 3,
    seed: int = 0,
    trial: Trial | None = None,
    sampler: Sampler | None = None,
    training_log: Path | None = None,
    config: Mapping[str, object] | None = None,
    review: int | None = None,
) -> Report:
    """Measure transfer and fidelity, and write ``report.json``, ``report.html``, ``figures/`` and
    ``charts/`` to the new folder ``out``.

    The reference is ``splits.test``: the test split, or the holdout while choosing.

    Args:
        extractors: spaces of features, in each of which fidelity is measured.
        classifier: what is trained on real and on synthetic images, and tested on real ones.
        metrics: of fidelity, in the order of the report.
        seeds: classifiers per arm.
        seed: fixes every random choice.
        trial: its arms, trained with its own number of seeds, are the transfer results then, and
            there is a verdict.
        sampler: draws the synthetic images of a trial anew for each seed.
        training_log: the generator's ``metrics.csv``, for the curves.
        config: what the person chose, as plain nested data; kept in the report.
        review: number of images on a page for a blinded expert, in ``review/``; None: no page.

    Raises:
        SynthgenError: the set doesn't fit the real data, or its generator may have seen the
            reference images; before any long work.
    """
    started = time.perf_counter()
    checks.require_comparable(splits, synthetic)
    checks.require_unseen_test(splits, synthetic)
    checks.require_options(extractors, metrics, seeds, seed)
    training = provenance.training_curves(training_log)
    questions = (
        choose_questions(splits.test, synthetic.images, n=review, seed=seed) if review else []
    )
    with new_folder(Path(out)) as folder:
        (folder / "figures").mkdir()
        if questions:
            (folder / REVIEW).mkdir()
            write_review(questions, folder / REVIEW, splits, synthetic, seed)
        said = expected.expectation(
            splits,
            synthetic.images,
            expected.expected_seconds(
                splits,
                synthetic.images,
                extractors=extractors,
                classifier=classifier,
                seeds=seeds,
                trial=trial,
            ),
        )
        log.info(said)
        copies = checks.exact_copies(splits, synthetic)
        steps = classifier.steps_for(splits.train)
        found = Findings(sentences=narrative.choosing_sentence(splits.reference))
        control_labels = spread_by_class(synthetic.images, CONTROL_IMAGES).labels
        controls, problems = draw_controls(splits.train, control_labels, seed)
        held = trial and run_trial(
            trial, splits, synthetic, sampler, classifier, seed=seed, out=Path(out), folder=folder
        )
        taught = len(held.outcome.seeds) if held else seeds
        if held:
            add_trial(found, held, splits, synthetic.images, classifier)
        else:
            add_transfer(found, splits, synthetic.images, classifier, steps, seeds, seed)
        add_transfer_references(found, splits, synthetic.images, controls, classifier, steps, seed)
        add_class_grid(found, splits, synthetic.images, folder)
        add_fidelity(found, splits, synthetic.images, controls, extractors, metrics, seed, folder)
        leaks = checks.leak_sentences(splits, synthetic, found.copying)
        for sentence in leaks:
            log.warning(sentence)
        found.sentences = leaks + found.sentences
        found.sentences += checks.class_sentences(splits, synthetic)
        found.sentences += checks.provenance_sentences(splits, synthetic, copies) + problems
        report = Report(
            format="synthgen-report/1",
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            seconds=round(time.perf_counter() - started, 1),
            results=found.results,
            references=found.references,
            verdict=found.verdict,
            trial=found.trial,
            sentences=found.sentences,
            confusion=found.confusion,
            curves=Curves(transfer=found.curves, training=training),
            neighbours=found.neighbours,
            figures=tuple(found.figures),
            copying=found.copying,
            statistics=found.statistics,
            fairness=found.fairness,
            protocol=provenance.protocol(
                classifier, steps, taught, seed, extractors, metrics, splits
            ),
            provenance=provenance.provenance(splits, synthetic, copies, config),
        )
        write_json(folder / "report.json", report.to_json())
        write_json(folder / provenance.FILE, provenance.public_report(report))
        write_html(report, folder)
    if held:
        held.store.remove()
    return report


def write_html(report: Report, folder: Path) -> None:
    from synthgen.evaluation.report import write_page  # only this stage needs a page

    write_page(report, folder)
