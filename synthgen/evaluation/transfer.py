"""What the synthetic images teach a classifier that is tested on real ones, with a trial or
without."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.evaluation import narrative
from synthgen.evaluation.classifiers import (
    Classifier,
    ClassifierRequest,
    Predictions,
    TrainingRecipe,
)
from synthgen.evaluation.classifiers.base import examined, mean_curve
from synthgen.evaluation.classifiers.scores import SCORES, confusion, recall_of, score_estimate
from synthgen.evaluation.fairness import fairness
from synthgen.evaluation.fidelity import CONTROL_NOTES, as_references
from synthgen.evaluation.result import Findings, Result, make_result
from synthgen.evaluation.schema import Confusion, Fairness, TransferStep
from synthgen.evaluation.trial import TrialReport, main_arms
from synthgen.evaluation.trial.arms import proportional
from synthgen.evaluation.trial.runner import lacking, lacking_sentence
from synthgen.types import LabelledImages, spread_by_class

# Is a classifier trained on synthetic images any good on real ones? (Ravuri & Vinyals 2019)

ARMS = ("real_only", "synthetic_only", "real_and_synthetic")
MOST_IN_MATRIX = 100  # classes of a confusion matrix that is written with its zeros
CLASSIFIER_SEEDS = 1_000_003  # keeps these seeds apart from others of the same one


def training_sets(real: LabelledImages, synthetic: LabelledImages) -> dict[str, LabelledImages]:
    """What each arm learns from: all real, all synthetic, all of both."""
    both = LabelledImages(
        torch.cat([real.images, synthetic.images]),
        torch.cat([real.labels, synthetic.labels]),
        real.classes,
    )
    return dict(zip(ARMS, (real, synthetic, both), strict=True))


def examine_arm(
    classifier: Classifier,
    data: LabelledImages,
    *,
    holdout: LabelledImages,
    test: LabelledImages,
    steps: int,
    seeds: Sequence[int],
    arm: str,
) -> list[Predictions]:
    """One training per seed; the same seeds give all arms the same initial weights."""
    return [
        examined(
            classifier,
            [
                ClassifierRequest(
                    recipe=TrainingRecipe(data=data),
                    seed=seed,
                    steps=steps,
                    holdout=holdout,
                    exams={"test": test.images},
                    description=f"{arm.replace('_', ' ')}, classifier {number}/{len(seeds)}",
                )
            ],
        )[0]
        for number, seed in enumerate(seeds, 1)
    ]


def classifier_seeds(seed: int, count: int) -> list[int]:
    return [seed * CLASSIFIER_SEEDS + number for number in range(count)]


def transfer_results(
    arm: str,
    examinations: Sequence[Predictions],
    test: LabelledImages,
    *,
    classifier: str,
    n_fake: int,
    names: Sequence[str] = tuple(SCORES),
    groups: Tensor | None = None,
) -> list[Result]:
    """``transfer/<arm>/<score>`` over all test images. ``n_real`` is the number of real test
    images, ``n_fake`` the number of synthetic images in the training set, ``groups`` says which
    test images belong together."""
    predictions = [examination.predictions["test"] for examination in examinations]
    seconds = sum(examination.seconds for examination in examinations) / len(names)
    return [
        make_result(
            f"transfer/{arm}/{name}",
            score_estimate(
                SCORES[name], test.labels, predictions, len(test.classes), groups=groups
            ),
            classifier=classifier,
            n_real=len(test),
            n_fake=n_fake,
            seconds=seconds,
        )
        for name in names
    ]


def recall_by_class(
    arm: str,
    examinations: Sequence[Predictions],
    test: LabelledImages,
    *,
    classifier: str,
    fake_counts: Sequence[int],
    groups: Tensor | None = None,
) -> list[Result]:
    """The terms of balanced accuracy: the recall of each class that has test images, named
    ``transfer/<arm>/recall`` with scope ``{"class": name}``."""
    predictions = [examination.predictions["test"] for examination in examinations]
    return [
        make_result(
            f"transfer/{arm}/recall",
            score_estimate(
                recall_of(label),
                test.labels,
                predictions,
                len(test.classes),
                among=test.labels == label,
                groups=groups,
            ),
            classifier=classifier,
            scope={"class": name},
            n_real=count,
            n_fake=fake_counts[label],
            seconds=0.0,
        )
        for label, (name, count) in enumerate(zip(test.classes, test.counts, strict=True))
        if count
    ]


def summed_confusion(examinations: Sequence[Predictions], test: LabelledImages) -> Confusion:
    """``matrix``: rows = true class, columns = predicted class, summed over seeds. With more than
    100 classes nearly all of it is zeros; then ``cells`` holds ``[true, predicted, count]`` of the
    others, in the order of their numbers."""
    classes = len(test.classes)
    labels = test.labels.repeat(len(examinations))
    said = torch.cat([examination.predictions["test"] for examination in examinations])
    if classes <= MOST_IN_MATRIX:
        matrix = confusion(labels, said, classes).long().tolist()
        return Confusion(classes=list(test.classes), matrix=matrix)
    cells, counts = (labels * classes + said).unique(return_counts=True)
    rows = torch.stack([cells // classes, cells % classes, counts], dim=1)
    return Confusion(classes=list(test.classes), cells=rows.tolist())


def transfer_curve(examinations: Sequence[Predictions]) -> list[TransferStep]:
    """Accuracy on real holdout images by optimizer step, mean over seeds."""
    means = mean_curve(examinations)
    return [TransferStep(step=step, accuracy_holdout=accuracy) for step, accuracy in means]


CLEARLY_FEWER = 0.8  # above, "as many real images" would be the real-only arm once more
CONTROL_SCORES = ("accuracy", "balanced_accuracy", "macro_f1")


def add_transfer(
    found: Findings,
    splits: Splits,
    synthetic: LabelledImages,
    classifier: Classifier,
    steps: int,
    seeds: int,
    seed: int,
) -> None:
    """Three arms, each trained with the same seeds for the same number of steps; without the one of
    synthetic images only if these lack a class."""
    predictions = {}
    sets = training_sets(splits.train, synthetic)
    reason = lacking_sentence(synthetic, splits.train)
    if reason is not None:
        del sets["synthetic_only"]
        found.sentences.append(f"Synthetic only was not tested: {reason}.")
    for arm, data in sets.items():
        examinations = examine_arm(
            classifier,
            data,
            holdout=splits.holdout,
            test=splits.test,
            steps=steps,
            seeds=classifier_seeds(seed, seeds),
            arm=arm,
        )
        counts = [0] * len(synthetic.classes) if arm == "real_only" else synthetic.counts
        add_arm(found, splits, arm, examinations, classifier, counts)
        found.curves[arm] = transfer_curve(examinations)
        predictions[arm] = tests_of(examinations)
    found.fairness = gains(splits, predictions)
    found.sentences += narrative.transfer_sentences(found.results, seeds, splits.reference)
    found.sentences += worst_taught(splits, predictions)


def add_trial(
    found: Findings,
    held: TrialReport,
    splits: Splits,
    synthetic: LabelledImages,
    classifier: Classifier,
) -> None:
    """The verdict; and the trial's three main arms where a report without one has its own."""
    found.verdict, found.trial = held.verdict, held.trial
    found.sentences.append(held.verdict.sentence)
    for arm, trained in main_arms(held.outcome).items():
        counts = proportional(synthetic.counts, trained.arm.n_synthetic)
        add_arm(found, splits, arm, trained.examinations, classifier, counts)
    arms = main_arms(held.outcome).items()
    predictions = {arm: tests_of(one.examinations) for arm, one in arms}
    found.fairness = gains(splits, predictions)
    found.sentences += worst_taught(splits, predictions)


def add_arm(
    found: Findings,
    splits: Splits,
    arm: str,
    examinations: list[Predictions],
    classifier: Classifier,
    fake_counts: list[int],
) -> None:
    """One arm's scores, recall by class and confusion matrix."""
    found.results += transfer_results(
        arm,
        examinations,
        splits.test,
        classifier=classifier.name,
        n_fake=sum(fake_counts),
        groups=splits.test_groups,
    )
    found.results += recall_by_class(
        arm,
        examinations,
        splits.test,
        classifier=classifier.name,
        fake_counts=fake_counts,
        groups=splits.test_groups,
    )
    found.confusion[arm] = summed_confusion(examinations, splits.test)


def tests_of(examinations: Sequence[Predictions]) -> Tensor:
    """int64 ``(seeds, N)``: what each seed's classifier said about the test images."""
    return torch.stack([examination.predictions["test"] for examination in examinations])


def worst_taught(splits: Splits, predictions: dict[str, Tensor]) -> list[str]:
    if "synthetic_only" not in predictions:
        return []
    return narrative.worst_class_sentence(
        predictions["synthetic_only"], splits.test, splits.reference, splits.test_groups
    )


def gains(splits: Splits, predictions: dict[str, Tensor]) -> Fairness:
    """Recall of each class before and after the synthetic images were added."""
    found = fairness(
        splits.test.labels,
        classes=splits.test.classes,
        before=predictions["real_only"],
        after=predictions["real_and_synthetic"],
        groups=splits.test_attributes,
        units=splits.test_groups,
    )
    said = [*found.sentences, *narrative.group_sentences(splits)]
    return found.model_copy(update={"sentences": said})


def add_transfer_references(
    found: Findings,
    splits: Splits,
    synthetic: LabelledImages,
    controls: dict[str, LabelledImages],
    classifier: Classifier,
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
        examinations = examine_arm(
            classifier,
            images,
            holdout=splits.holdout,
            test=splits.test,
            steps=steps,
            seeds=classifier_seeds(seed, 1),
            arm=name,
        )
        results = transfer_results(
            arm,
            examinations,
            splits.test,
            classifier=classifier.name,
            n_fake=0 if arm == "real_only" else len(images),
            names=CONTROL_SCORES,
            groups=splits.test_groups,
        )
        note = f"{note}; one training, so the interval leaves out the scatter between trainings"
        found.references += as_references(name, results, note)
