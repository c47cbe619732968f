"""A whole trial: from images to everything that the report says about it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

import synthgen
from synthgen.data.assign import SPLITS
from synthgen.data.splits import Splits
from synthgen.dataset.source import SyntheticSet
from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers.base import Classifier
from synthgen.evaluation.trial.analysis import compare_arms
from synthgen.evaluation.trial.arms import FixedFolder, FreshDraws, SyntheticSource
from synthgen.evaluation.trial.record import (
    SYNTHETIC_EXAM,
    equivalent_of,
    gan_test,
    trial_record,
    trial_verdict,
    write_predictions,
)
from synthgen.evaluation.trial.robustness import own_answers, scenario_exams
from synthgen.evaluation.trial.runner import TrialStore
from synthgen.evaluation.trial.schema import Trial as TrialRecord
from synthgen.evaluation.trial.schema import TrialIdentity, TrialVerdict
from synthgen.evaluation.trial.trial import Outcome, Trial
from synthgen.images import image_hashes, lines_digest
from synthgen.samplers.base import FittedSampler, Sampler
from synthgen.seeds import row_seeds
from synthgen.types import LabelledImages, spread_by_class

log = logging.getLogger(__name__)
FORMAT = "synthgen-trial/3"  # another version's trainings are not gone on with
EXAMINED_SYNTHETIC = 2000  # synthetic images that the GAN-test looks at
BASELINE_SEEDS = 7  # keeps the baseline's draws apart from the model's


@dataclass(frozen=True)
class TrialReport:
    """What goes into report.json, and the trainings behind it."""

    verdict: TrialVerdict
    trial: TrialRecord
    outcome: Outcome
    store: TrialStore


def run_trial(
    trial: Trial,
    splits: Splits,
    synthetic: SyntheticSet,
    sampler: Sampler | None,
    classifier: Classifier,
    *,
    seed: int,
    out: Path,
    folder: Path,
) -> TrialReport:
    """Train all arms, choose on the holdout, then compare on the test images once.

    ``sampler`` gives each seed its own draw; None takes the folder's images. Finished trainings are
    kept beside ``out`` until the report is complete; ``predictions.npz`` goes to ``folder``.
    """
    source = source_of(trial, splits, synthetic.images, sampler, seed)
    examined = spread_by_class(synthetic.images, EXAMINED_SYNTHETIC)
    steps = classifier.steps_for(splits.train)
    identity = TrialIdentity(
        format=FORMAT,
        data=splits.digest,
        images={  # the digest says nothing of what reference=holdout cuts off
            part: lines_digest(image_hashes(getattr(splits, part).images)) for part in SPLITS
        },
        reference=splits.reference,
        synthetic=synthetic.digest,
        source=source.kind,
        sampler=None if sampler is None else fingerprint(sampler),
        versions=[synthgen.__version__, str(torch.__version__)],
        trial=trial.options(),
        seeds=trial.seeds,
        endpoint=trial.endpoint,
        judge=classifier.describe(steps),
        seed=seed,
    )
    store = TrialStore(out, identity)
    if len(store):
        log.info("Going on with a trial that was interrupted: %d trainings are there.", len(store))
    elif store.others():
        log.info(
            "An interrupted trial with other settings, or of another version, lies in %s: it can't "
            "be gone on with, so this one begins anew. Remove the folder if you don't need it.",
            store.others()[0],
        )
    harder = scenario_exams(splits, trial.scenarios, trial.strengths)
    own = own_answers(trial.classifiers, harder, splits)  # first: a wrong one is told at once
    try:
        outcome = trial.run(
            splits,
            source,
            n_synthetic_only=len(synthetic.images),
            classifier=classifier,
            baseline=baseline_of(trial, splits, synthetic.images, source, seed),
            exams={SYNTHETIC_EXAM: examined.images, **harder},
            seed=seed,
            store=store,
        )
    except KeyboardInterrupt:
        log.info(store.kept())
        raise
    comparisons = compare_arms(outcome, splits, outcome.endpoint)
    write_predictions(folder / "predictions.npz", outcome, splits)
    counts = zip(splits.train.classes, synthetic.images.counts, strict=True)
    return TrialReport(
        verdict=trial_verdict(
            trial,
            outcome,
            comparisons,
            equivalent_of(outcome, splits, seed),
            splits,
            source.kind,
            missing=[name for name, count in counts if not count],
        ),
        trial=trial_record(
            trial,
            outcome,
            comparisons,
            splits,
            source.kind,
            classifier=identity.judge,
            own=own,
            asked=gan_test(outcome, examined.labels, splits.train.classes),
        ),
        outcome=outcome,
        store=store,
    )


def source_of(
    trial: Trial,
    splits: Splits,
    synthetic: LabelledImages,
    sampler: Sampler | None,
    seed: int,
) -> SyntheticSource:
    """Fresh draws in the folder's proportions of classes, or the folder itself."""
    if sampler is None:
        return FixedFolder(synthetic, seed=seed)
    if sampler.image != splits.train.image:
        raise SynthgenError(
            "The sampler's images have another shape or other classes than the data.\n"
            "Give the sampler that the synthetic set was drawn with."
        )
    most = max(round(max(trial.ratios) * len(splits.train)), len(synthetic))
    return FreshDraws(sampler, synthetic.counts, most=most, seed=seed)


def fingerprint(sampler: Sampler) -> str:
    """SHA-256 of one image of each class: another sampler's trainings are not gone on with."""
    labels = torch.arange(len(sampler.image.classes))
    return lines_digest(image_hashes(sampler.sample(labels, row_seeds(0, 0, len(labels))).images))


def baseline_of(
    trial: Trial,
    splits: Splits,
    synthetic: LabelledImages,
    source: SyntheticSource,
    seed: int,
) -> SyntheticSource | None:
    """Fresh draws from a sampler fitted in one call; None if there is none, or it can't be."""
    if trial.baseline is None:
        return None
    sampler = baseline_sampler(trial.baseline, splits.train)
    if sampler is None:
        return None
    return FreshDraws(sampler, synthetic.counts, most=source.most, seed=seed + BASELINE_SEEDS)


def baseline_sampler(name: str, train: LabelledImages) -> FittedSampler | None:
    from synthgen.samplers import PCAGaussian

    samplers: dict[str, type[FittedSampler]] = {"pca_gaussian": PCAGaussian}
    if name not in samplers:
        raise SynthgenError(
            f"trial.baseline is {name!r}, which is unknown.\nUse one of {', '.join(samplers)}, "
            "or null."
        )
    sampler = samplers[name](train.image)
    try:
        sampler.fit(train)
    except SynthgenError:  # too few images of a class; the report's controls say so in words
        return None
    return sampler
