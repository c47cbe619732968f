"""What the synthetic images teach a classifier, with a trial or without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.evaluation import sentences, transfer
from synthgen.evaluation.fairness import fairness
from synthgen.evaluation.findings import Findings
from synthgen.evaluation.judges import Examination, Judge
from synthgen.evaluation.references import CONTROL_NOTES, as_references
from synthgen.evaluation.subsets import spread_by_class
from synthgen.evaluation.trial import TrialReport, main_arms
from synthgen.evaluation.trial.school import lacking, lacking_sentence
from synthgen.evaluation.trial.sources import proportional
from synthgen.types import LabelledImages

CLEARLY_FEWER = 0.8  # above, "as many real images" would be the real-only arm once more
CONTROL_SCORES = ("accuracy", "balanced_accuracy", "macro_f1")


def add_transfer(
    found: Findings,
    splits: Splits,
    synthetic: LabelledImages,
    judge: Judge,
    steps: int,
    seeds: int,
    seed: int,
) -> None:
    """Three arms, each trained with the same seeds for the same number of steps; without the one of
    synthetic images only if these lack a class."""
    predictions = {}
    sets = transfer.training_sets(splits.train, synthetic)
    reason = lacking_sentence(synthetic, splits.train)
    if reason is not None:
        del sets["synthetic_only"]
        found.sentences.append(f"Synthetic only was not tested: {reason}.")
    for arm, data in sets.items():
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
        add_arm(found, splits, arm, examinations, judge, counts)
        found.curves[arm] = transfer.mean_curve(examinations)
        predictions[arm] = tests_of(examinations)
    found.fairness = gains(splits, predictions)
    found.sentences += sentences.transfer_sentences(found.results, seeds, splits.reference)
    found.sentences += worst_taught(splits, predictions)


def add_trial(
    found: Findings,
    held: TrialReport,
    splits: Splits,
    synthetic: LabelledImages,
    judge: Judge,
) -> None:
    """The verdict; and the trial's three main arms where a report without one has its own."""
    found.verdict, found.trial = held.verdict, held.trial
    found.sentences.append(held.verdict["sentence"])
    for arm, trained in main_arms(held.outcome).items():
        counts = proportional(synthetic.counts, trained.arm.n_synthetic)
        add_arm(found, splits, arm, trained.examinations, judge, counts)
    arms = main_arms(held.outcome).items()
    predictions = {arm: tests_of(one.examinations) for arm, one in arms}
    found.fairness = gains(splits, predictions)
    found.sentences += worst_taught(splits, predictions)


def add_arm(
    found: Findings,
    splits: Splits,
    arm: str,
    examinations: list[Examination],
    judge: Judge,
    fake_counts: list[int],
) -> None:
    """One arm's scores, recall by class and confusion matrix."""
    found.results += transfer.transfer_results(
        arm,
        examinations,
        splits.test,
        classifier=judge.name,
        n_fake=sum(fake_counts),
        groups=splits.test_groups,
    )
    found.results += transfer.recall_by_class(
        arm,
        examinations,
        splits.test,
        classifier=judge.name,
        fake_counts=fake_counts,
        groups=splits.test_groups,
    )
    found.confusion[arm] = transfer.summed_confusion(examinations, splits.test)


def tests_of(examinations: Sequence[Examination]) -> Tensor:
    """int64 ``(seeds, N)``: what each seed's classifier said about the test images."""
    return torch.stack([examination.predictions["test"] for examination in examinations])


def worst_taught(splits: Splits, predictions: dict[str, Tensor]) -> list[str]:
    if "synthetic_only" not in predictions:
        return []
    return sentences.worst_class_sentence(
        predictions["synthetic_only"], splits.test, splits.reference, splits.test_groups
    )


def gains(splits: Splits, predictions: dict[str, Tensor]) -> dict[str, Any]:
    """Recall of each class before and after the synthetic images were added."""
    found = fairness(
        splits.test.labels,
        classes=splits.test.classes,
        before=predictions["real_only"],
        after=predictions["real_and_synthetic"],
        groups=splits.test_attributes,
        units=splits.test_groups,
    )
    found["sentences"] += sentences.group_sentences(splits)
    return found


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
        if not lacking(images, splits.train)
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
            groups=splits.test_groups,
        )
        note = f"{note}; one training, so the interval leaves out the scatter between trainings"
        found.references += as_references(name, results, note)
