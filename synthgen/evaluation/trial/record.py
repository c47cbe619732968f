"""A finished trial as it stands in the report, and every prediction as a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.evaluation.classifiers.base import mean_curve
from synthgen.evaluation.classifiers.scores import (
    SCORES,
    Criterion,
    class_recall,
    confusion,
    score_estimate,
    value_of,
)
from synthgen.evaluation.schema import ClassifierDescription, CountedInterval, Interval
from synthgen.evaluation.trial.analysis import Comparisons, chosen_arm, compared_arms, gap_of
from synthgen.evaluation.trial.arms import COMBINED, REAL, SYNTHETIC
from synthgen.evaluation.trial.contrast import mcnemar
from synthgen.evaluation.trial.endpoints import (
    choosing_name,
    images_of_endpoint,
    mean_recall_of,
    of_classes,
)
from synthgen.evaluation.trial.narrative import (
    NO_CURVE,
    NO_SYNTHETIC_ONLY,
    NOT_TESTED,
    ceiling_sentence,
    choice_sentences,
    verdict_sentence,
)
from synthgen.evaluation.trial.real_equivalent import Point, real_equivalent
from synthgen.evaluation.trial.robustness import scenarios
from synthgen.evaluation.trial.runner import Trained
from synthgen.evaluation.trial.schema import (
    GanTest,
    LearningPoint,
    McNemar,
    RatioPoint,
    RealEquivalent,
    Scenario,
    Skipped,
    Source,
    Step,
    Tail,
    TrialArm,
    TrialProtocol,
    TrialVerdict,
)
from synthgen.evaluation.trial.schema import Trial as TrialRecord
from synthgen.evaluation.trial.trial import TEST, Outcome, Trial, holdout_score
from synthgen.io import write_bytes
from synthgen.stats import Estimate, wilson

SYNTHETIC_EXAM = "synthetic"  # the synthetic set itself, for the classifiers trained on real images
FEWEST_POINTS = 3  # a line through two points has no error


def trial_verdict(
    trial: Trial,
    outcome: Outcome,
    comparisons: Comparisons,
    equivalent: RealEquivalent,
    splits: Splits,
    source: Source,
    missing: Sequence[str] = (),
) -> TrialVerdict:
    """``missing``: classes that the synthetic set lacks."""
    cheap, real = comparisons.best_cheap, outcome.arms[REAL]
    gaps = tuple(
        gap_of(one, outcome.choosing, splits, trial.minimum_difference)
        for one in (real, chosen_arm(outcome))
    )
    ceiling = ceiling_sentence(comparisons.primary, endpoint_of(real, outcome, splits).value)
    return TrialVerdict(
        endpoint=outcome.endpoint,
        minimum_difference=trial.minimum_difference,
        holdout_gaps=gaps,
        sentence=verdict_sentence(
            comparisons,
            trial.minimum_difference,
            splits,
            trial.seeds,
            source,
            tail=outcome.tail,
            missing=missing,
            ceiling=ceiling,
            gaps=gaps,
            equivalent=equivalent,
        ),
        ceiling=ceiling,
        against_best_cheap=cheap and cheap.model_copy(update={"name": cheap.against}),
        real_equivalent=equivalent,
        arms=comparisons.every,
    )


def trial_record(
    trial: Trial,
    outcome: Outcome,
    comparisons: Comparisons,
    splits: Splits,
    source: Source,
    *,
    classifier: ClassifierDescription | None = None,
    own: Sequence[Scenario] = (),
    asked: GanTest | None = None,
) -> TrialRecord:
    """What each arm scored, and how everything was chosen. ``own``: what the person's own
    classifiers said; ``asked`` of :func:`gan_test`."""
    shown = [outcome.arms[REAL], *compared_arms(outcome)]
    convergence = {trained.arm.name: holdout_curve(trained) for trained in shown}
    return TrialRecord(
        protocol=TrialProtocol(
            **vars(trial.options()),
            seeds=outcome.seeds,
            endpoint=outcome.endpoint,
            chosen_by=choosing_name(outcome.endpoint),
            steps=outcome.steps,
            source=source,
            choices=choice_sentences(outcome, comparisons, splits, convergence[REAL]),
            units="groups of test images" if splits.test_groups is not None else "test images",
            judge=classifier,
        ),
        arms=[arm_record(trained, outcome, comparisons, splits) for trained in shown],
        ratio_curve=ratio_curve(outcome, splits),
        learning_curve=[
            LearningPoint(
                images=one.arm.n_real, **vars(Interval.of(endpoint_of(one, outcome, splits)))
            )
            for one in learning_arms(outcome)
        ],
        convergence=convergence,
        skipped=[Skipped(arm=arm, reason=reason) for arm, reason in outcome.skipped.items()],
        tail=tail_recall(shown, outcome, splits),
        test_images=dict(zip(splits.test.classes, splits.test.counts, strict=True)),
        scenarios=[*scenarios(shown, splits), *own],
        gan_test=asked,
    )


def arm_record(
    trained: Trained, outcome: Outcome, comparisons: Comparisons, splits: Splits
) -> TrialArm:
    arm, test = trained.arm, splits.test
    classes = len(test.classes)
    matrices = [confusion(test.labels, one, classes) for one in trained.predictions(TEST)]
    recall = torch.stack([class_recall(matrix) for matrix in matrices]).mean(0)
    return TrialArm(
        name=arm.name,
        label=arm.label,
        kind=arm.kind,
        ratio=arm.ratio,
        n_real=arm.n_real,
        n_synthetic=arm.n_synthetic,
        n=len(test),
        test=Interval.of(endpoint_of(trained, outcome, splits)),
        accuracy=Interval.of(score_of(trained, SCORES["accuracy"], splits)),
        balanced_accuracy=Interval.of(score_of(trained, SCORES["balanced_accuracy"], splits)),
        holdout=holdout_score(trained, outcome.choosing, splits),
        per_seed=[
            float(value_of(outcome.score, test.labels, one, classes))
            for one in trained.answers(TEST)
        ],
        recall=dict(zip(test.classes, recall.tolist(), strict=True)),
        chosen_steps=[examination.chosen_step for examination in trained.examinations],
        seconds=round(sum(examination.seconds for examination in trained.examinations), 2),
        mcnemar=disagreements(trained, outcome, splits) if arm.name != REAL else None,
        chosen=arm.name == comparisons.primary.name,
    )


def disagreements(trained: Trained, outcome: Outcome, splits: Splits) -> list[McNemar]:
    """With real only, seed by seed."""
    real = outcome.arms[REAL].predictions(TEST)
    return [
        mcnemar(splits.test.labels, ours, theirs, seed)
        for seed, ours, theirs in zip(outcome.seeds, trained.predictions(TEST), real, strict=True)
    ]


def score_of(
    trained: Trained, score: Criterion, splits: Splits, among: Tensor | None = None
) -> Estimate:
    """On the test images, or on those ``among`` them that the score rests on."""
    labels, classes, groups = splits.test.labels, len(splits.test.classes), splits.test_groups
    answers = trained.answers(TEST)
    return score_estimate(score, labels, answers, classes, among=among, groups=groups)


def endpoint_of(trained: Trained, outcome: Outcome, splits: Splits) -> Estimate:
    among = images_of_endpoint(outcome.endpoint, outcome.tail, splits.test.labels)
    return score_of(trained, outcome.score, splits, among)


def ratio_curve(outcome: Outcome, splits: Splits) -> list[RatioPoint]:
    """Real + synthetic by ratio, on the holdout that chose and on the test split."""
    return [
        RatioPoint(
            ratio=trained.arm.ratio,
            holdout=holdout_score(trained, outcome.choosing, splits),
            test=(estimate := endpoint_of(trained, outcome, splits)).value,
            ci_low=estimate.low,
            ci_high=estimate.high,
            chosen=trained.arm.ratio == outcome.choices.ratio,
        )
        for trained in outcome.arms.values()
        if trained.arm.name.startswith(f"{COMBINED}_") and trained.arm.ratio is not None
    ]


def learning_arms(outcome: Outcome) -> list[Trained]:
    """Real data alone, from the smallest part to all."""
    fractions = [arm for arm in outcome.arms.values() if arm.arm.kind == "fraction"]
    return [*sorted(fractions, key=lambda one: one.arm.n_real), outcome.arms[REAL]]


def equivalent_of(outcome: Outcome, splits: Splits, seed: int) -> RealEquivalent:
    """A reason instead of numbers without a learning curve, or without synthetic images only."""
    arms = learning_arms(outcome)
    if len(arms) < FEWEST_POINTS:
        return RealEquivalent(replaces=None, adds=None, reason=NO_CURVE)
    if SYNTHETIC in outcome.skipped:
        return RealEquivalent(
            replaces=None, adds=None, reason=NOT_TESTED.format(outcome.skipped[SYNTHETIC])
        )
    if SYNTHETIC not in outcome.arms:
        return RealEquivalent(replaces=None, adds=None, reason=NO_SYNTHETIC_ONLY)

    def point(trained: Trained) -> Point:
        estimate = score_of(trained, outcome.choosing, splits)
        assert estimate.value is not None
        assert estimate.low is not None
        assert estimate.high is not None
        # The interval is cut off at 0 and 1, on one side only if the classifier is any good.
        half = max(estimate.high - estimate.value, estimate.value - estimate.low, 1e-9)
        return Point(trained.arm.n_real, estimate.value, half / 1.96)

    return real_equivalent(
        [point(trained) for trained in arms],
        point(outcome.arms[SYNTHETIC]),
        point(chosen_arm(outcome)),
        seed=seed,
    )


def holdout_curve(trained: Trained) -> list[Step]:
    """The endpoint on the holdout by optimizer step, mean over seeds."""
    return [Step(step=step, holdout=value) for step, value in mean_curve(trained.examinations)]


def tail_recall(shown: list[Trained], outcome: Outcome, splits: Splits) -> Tail | None:
    """Recall of the rare classes by arm, and beside it that of the others, which it is easily paid
    with; None if no class is rare."""
    if not outcome.tail:
        return None
    test, tail = splits.test, outcome.tail
    others = [label for label in set(test.labels.tolist()) if label not in tail]

    def recall(labels: Sequence[int], trained: Trained) -> Interval:
        among = of_classes(labels, test.labels)
        return Interval.of(score_of(trained, mean_recall_of(labels), splits, among))

    return Tail(
        classes=[test.classes[label] for label in tail],
        n=int(of_classes(tail, test.labels).sum()),
        recall={one.arm.name: recall(tail, one) for one in shown},
        n_others=int(of_classes(others, test.labels).sum()),
        others={one.arm.name: recall(others, one) for one in shown} if others else {},
    )


def gan_test(outcome: Outcome, labels: Tensor, classes: tuple[str, ...]) -> GanTest:
    """Do classifiers trained on real images agree with the synthetic labels? (Shmelkov et al. 2018,
    GAN-test.) ``labels`` are those of the images behind the exam ``synthetic``."""
    predictions = outcome.arms[REAL].predictions(SYNTHETIC_EXAM)
    agreement = {}
    for label, name in enumerate(classes):
        mine = labels == label
        count = int(mine.sum())
        if not count:
            continue
        right = sum(float((one[mine] == label).sum()) for one in predictions) / len(predictions)
        agreement[name] = CountedInterval.counted(wilson(right, count), count)
    overall = score_estimate(SCORES["accuracy"], labels, predictions, len(classes))
    return GanTest(accuracy=Interval.of(overall), n=len(labels), label_agreement=agreement)


def write_predictions(path: Path, outcome: Outcome, splits: Splits) -> None:
    """``predictions.npz``: ``arm (A,)``, ``seed (S,)``, ``image (n,)`` (position in the test split
    as ``split.json``'s recipe gives it), ``label (n,)``, ``prediction (A, S, n)`` and, as it was
    scored, ``log_probability (A, S, n, K)`` in half precision."""
    names = list(outcome.arms)
    stacked = torch.stack([torch.stack(outcome.arms[name].predictions(TEST)) for name in names])
    answers = torch.stack([torch.stack(outcome.arms[name].answers(TEST)) for name in names])
    content = io.BytesIO()
    np.savez_compressed(
        content,
        arm=np.array(names),
        seed=np.array(outcome.seeds),
        image=np.arange(len(splits.test)),
        label=splits.test.labels.numpy().astype(np.int32),
        prediction=stacked.numpy().astype(np.int32),
        log_probability=answers.numpy(),
    )
    write_bytes(path, content.getvalue())
