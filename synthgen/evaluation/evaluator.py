"""Evaluate a synthetic set against real images, and write the report's folder."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthgen.data.splits import Splits
from synthgen.data.synthetic import SyntheticSet
from synthgen.evaluation import checks, expected, provenance, public, sentences
from synthgen.evaluation.controls import CONTROL_IMAGES, draw_controls
from synthgen.evaluation.features import Extractor
from synthgen.evaluation.findings import Findings
from synthgen.evaluation.judges import Judge
from synthgen.evaluation.likeness import add_class_grid, add_fidelity
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.review import choose_questions, review_facts, write_review
from synthgen.evaluation.subsets import spread_by_class
from synthgen.evaluation.trial import Trial, hold_trial
from synthgen.evaluation.utility import add_transfer, add_transfer_references, add_trial
from synthgen.paths import new_folder, write_json
from synthgen.samplers.base import Sampler

log = logging.getLogger(__name__)

REVIEW = "review"  # folder of the expert's page and its key


def evaluate(
    splits: Splits,
    synthetic: SyntheticSet,
    out: Path,
    *,
    extractors: Sequence[Extractor],
    judge: Judge,
    seeds: int = 3,
    seed: int = 0,
    trial: Trial | None = None,
    sampler: Sampler | None = None,
    training_log: Path | None = None,
    config: dict[str, Any] | None = None,
    review: int | None = None,
) -> Report:
    """Measure transfer and fidelity, and write ``report.json``, ``report.html``, ``figures/`` and
    ``charts/`` to the new folder ``out``.

    The reference is ``splits.test``: the test split, or the holdout while choosing. ``seeds`` is
    the number of judges per arm, ``seed`` fixes every random choice, ``training_log`` is
    the generator's ``metrics.csv`` for the curves. With ``trial`` its arms, trained with its own
    number of seeds, are the transfer results, and there is a verdict; ``sampler`` then draws the
    synthetic images anew for each seed. ``review`` images go on a page for a blinded expert, in
    ``review/``. Returns the report. Raises SynthgenError, before
    any long work, for a set that does not fit the real data or whose generator may have seen the
    reference images.
    """
    started = time.perf_counter()
    checks.require_comparable(splits, synthetic)
    checks.require_unseen_test(splits, synthetic)
    checks.require_options(extractors, seeds, seed)
    training = provenance.training_curves(training_log)
    questions = (
        choose_questions(splits.test, synthetic.images, n=review, seed=seed) if review else []
    )
    with new_folder(Path(out)) as folder:
        (folder / "figures").mkdir()
        if questions:
            (folder / REVIEW).mkdir()
            write_review(questions, folder / REVIEW, facts=review_facts(splits, synthetic, seed))
        said = expected.expectation(
            splits,
            synthetic.images,
            expected.expected_seconds(
                splits,
                synthetic.images,
                extractors=extractors,
                judge=judge,
                seeds=seeds,
                trial=trial,
            ),
        )
        log.info(said)
        copies = checks.exact_copies(splits, synthetic)
        steps = judge.steps_for(splits.train)
        found = Findings(sentences=sentences.choosing_sentence(splits.reference))
        control_labels = spread_by_class(synthetic.images, CONTROL_IMAGES).labels
        controls, problems = draw_controls(splits.train, control_labels, seed)
        held = trial and hold_trial(
            trial, splits, synthetic, sampler, judge, seed=seed, out=Path(out), folder=folder
        )
        taught = len(held.outcome.seeds) if held else seeds
        if held:
            add_trial(found, held, splits, synthetic.images, judge)
        else:
            add_transfer(found, splits, synthetic.images, judge, steps, seeds, seed)
        add_transfer_references(found, splits, synthetic.images, controls, judge, steps, seed)
        add_class_grid(found, splits, synthetic.images, folder)
        add_fidelity(found, splits, synthetic.images, controls, extractors, seed, folder)
        leaks = checks.leak_sentences(splits, synthetic, found.copying)
        for sentence in leaks:
            log.warning(sentence)
        found.sentences = leaks + found.sentences
        found.sentences += checks.class_sentences(splits, synthetic)
        found.sentences += checks.provenance_sentences(splits, synthetic, copies) + problems
        table = {
            "format": Report.FORM,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - started, 1),
            "results": [result.to_json() for result in found.results],
            "references": found.references,
            "verdict": found.verdict,
            "trial": found.trial,
            "sentences": found.sentences,
            "confusion": found.confusion,
            "curves": {"transfer": found.curves, "training": training},
            "neighbours": found.neighbours,
            "figures": found.figures,
            "copying": found.copying,
            "statistics": found.statistics,
            "fairness": found.fairness,
            "protocol": provenance.protocol(judge, steps, taught, seed, extractors, splits),
            "provenance": provenance.provenance(splits, synthetic, copies, config),
        }
        report = Report.from_json(table, "The report")
        write_json(folder / "report.json", table)
        write_json(folder / public.FILE, public.public_report(table))
        write_html(report, folder)
    if held:
        held.store.remove()
    return report


def write_html(report: Report, folder: Path) -> None:
    from synthgen.evaluation.report import write_page  # only this stage needs a page

    write_page(report, folder)
