"""Evaluate a synthetic set against real images, and write the report's folder."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgen.data.splits import Splits
from synthgen.data.synthetic import SyntheticSet
from synthgen.evaluation import checks, provenance, sentences, transfer
from synthgen.evaluation.controls import CONTROL_IMAGES, draw_controls
from synthgen.evaluation.features import Extractor
from synthgen.evaluation.judge import Judge
from synthgen.evaluation.pictures import class_grid
from synthgen.evaluation.references import CONTROL_NOTES, as_references
from synthgen.evaluation.result import Result
from synthgen.evaluation.spaces import measure_space
from synthgen.evaluation.subsets import spread_by_class
from synthgen.paths import new_folder, write_json
from synthgen.types import LabelledImages

FORMAT = "synthgen-report/1"
CLEARLY_FEWER = 0.8  # above, "as many real images" would be the real-only arm once more
CONTROL_SCORES = ("accuracy", "balanced_accuracy", "macro_f1")


@dataclass
class Findings:
    """What the parts of an evaluation add to the report."""

    results: list[Result] = field(default_factory=list)
    references: list[dict[str, Any]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    confusion: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    neighbours: list[dict[str, Any]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)


def evaluate(
    splits: Splits,
    synthetic: SyntheticSet,
    out: Path,
    *,
    extractors: Sequence[Extractor],
    judge: Judge,
    seeds: int = 3,
    seed: int = 0,
    training_log: Path | None = None,
    config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure transfer and fidelity, and write ``report.json``, ``report.html`` and ``figures/`` to
    the new folder ``out``.

    The reference is ``splits.test``: the test split, or the holdout while choosing. ``seeds`` is
    the number of judges per arm, ``seed`` fixes every random choice, ``training_log`` is
    the generator's ``metrics.csv`` for the curves. Returns the report. Raises SynthgenError, before
    any long work, for a set that does not fit the real data or whose generator may have seen the
    reference images.
    """
    started = time.perf_counter()
    checks.require_comparable(splits, synthetic)
    checks.require_unseen_test(splits, synthetic)
    checks.require_options(extractors, seeds, seed)
    training = provenance.training_curves(training_log)
    with new_folder(Path(out)) as folder:
        (folder / "figures").mkdir()
        copies = checks.exact_copies(splits, synthetic)
        steps = judge.steps_for(splits.train)
        found = Findings(sentences=sentences.choosing_sentence(splits.reference))
        control_labels = spread_by_class(synthetic.images, CONTROL_IMAGES).labels
        controls, problems = draw_controls(splits.train, control_labels, seed)
        add_transfer(found, splits, synthetic.images, judge, steps, seeds, seed)
        add_transfer_references(found, splits, synthetic.images, controls, judge, steps, seed)
        add_class_grid(found, splits, synthetic.images, folder)
        add_fidelity(found, splits, synthetic.images, controls, extractors, seed, folder)
        found.sentences += checks.class_sentences(splits, synthetic)
        found.sentences += checks.provenance_sentences(splits, synthetic, copies) + problems
        report = {
            "format": FORMAT,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - started, 1),
            "results": [result.to_json() for result in found.results],
            "references": found.references,
            "verdict": None,
            "sentences": found.sentences,
            "confusion": found.confusion,
            "curves": {"transfer": found.curves, "training": training},
            "neighbours": found.neighbours,
            "figures": found.figures,
            "protocol": provenance.protocol(judge, steps, seeds, seed, extractors, splits),
            "provenance": provenance.provenance(splits, synthetic, copies, config),
        }
        write_json(folder / "report.json", report)
        write_html(report, folder)
    return report


def add_transfer(
    found: Findings,
    splits: Splits,
    synthetic: LabelledImages,
    judge: Judge,
    steps: int,
    seeds: int,
    seed: int,
) -> None:
    """Three arms, each trained with the same seeds for the same number of steps."""
    for arm, data in transfer.training_sets(splits.train, synthetic).items():
        examinations = transfer.examine_arm(
            judge,
            data,
            holdout=splits.holdout,
            test=splits.test,
            steps=steps,
            seeds=transfer.judge_seeds(seed, seeds),
            arm=arm,
        )
        counts = [0] * len(synthetic.classes) if arm == "real_only" else synthetic.counts
        found.results += transfer.transfer_results(
            arm, examinations, splits.test, classifier=judge.name, n_fake=sum(counts)
        )
        found.results += transfer.recall_by_class(
            arm, examinations, splits.test, classifier=judge.name, fake_counts=counts
        )
        found.confusion[arm] = transfer.summed_confusion(examinations, splits.test)
        found.curves[arm] = transfer.mean_curve(examinations)
    found.sentences += sentences.transfer_sentences(found.results, seeds, splits.reference)
    found.sentences += sentences.worst_class_sentence(found.results, splits.reference)


def add_transfer_references(
    found: Findings,
    splits: Splits,
    synthetic: LabelledImages,
    controls: dict[str, LabelledImages],
    judge: Judge,
    steps: int,
    seed: int,
) -> None:
    """What the controls teach (one training each), and what as many real images would."""
    sets = {
        name: ("synthetic_only", images, CONTROL_NOTES[name].format(n=len(images)))
        for name, images in controls.items()
    }
    if len(synthetic) <= CLEARLY_FEWER * len(splits.train):
        fewer = spread_by_class(splits.train, len(synthetic))
        sets["real_at_same_n"] = ("real_only", fewer, f"{len(fewer):,} real training images")
    for name, (arm, images, note) in sets.items():
        examinations = transfer.examine_arm(
            judge,
            images,
            holdout=splits.holdout,
            test=splits.test,
            steps=steps,
            seeds=transfer.judge_seeds(seed, 1),
            arm=name,
        )
        results = transfer.transfer_results(
            arm,
            examinations,
            splits.test,
            classifier=judge.name,
            n_fake=0 if arm == "real_only" else len(images),
            names=CONTROL_SCORES,
        )
        note = f"{note}; n_seeds=1, so the interval leaves out the scatter between trainings"
        found.references += as_references(name, results, note)


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
    """Every feature space in turn."""
    for extractor in extractors:
        extractor.prepare(splits.train, seed)
        space = measure_space(extractor, splits, synthetic, controls, folder)
        found.results += space.results
        found.references += space.references
        found.neighbours.append(space.neighbours)
        found.figures.append(space.figure)
        found.sentences += sentences.fidelity_sentences(
            space.results, space.references, extractor.name, splits.reference
        )
        found.sentences.append(sentences.closeness_sentence(space.neighbours, splits.reference))
        found.sentences += sentences.extractor_sentence(extractor.name)


def write_html(report: dict[str, Any], folder: Path) -> None:
    from synthgen.evaluation.report import write_page  # only this stage needs a page

    write_page(report, folder)
