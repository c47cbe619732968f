"""A finished trial as JSON for the report, and every prediction as a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.evaluation.classifiers.scores import (
    SCORES,
    Criterion,
    class_recall,
    confusion,
    score_estimate,
    value_of,
)
from synthgen.evaluation.trial.analysis import (
    Comparisons,
    chosen_arm,
    compared_arms,
    far_above,
    holdout_gaps,
)
from synthgen.evaluation.trial.arms import REAL, SYNTHETIC
from synthgen.evaluation.trial.contrast import mcnemar
from synthgen.evaluation.trial.endpoints import (
    choosing_name,
    images_of_endpoint,
    mean_recall_of,
    of_classes,
)
from synthgen.evaluation.trial.narrative import (
    ceiling_sentence,
    choice_sentences,
    convergence_sentence,
    equivalent_sentence,
    gap_sentence,
    verdict_sentence,
)
from synthgen.evaluation.trial.real_equivalent import Equivalent, Point, real_equivalent
from synthgen.evaluation.trial.robustness import scenarios_json
from synthgen.evaluation.trial.runner import Trained
from synthgen.evaluation.trial.trial import TEST, Outcome, Trial, holdout_score
from synthgen.io import write_bytes
from synthgen.stats import Estimate, wilson

SYNTHETIC_EXAM = "synthetic"  # the synthetic set itself, for the classifiers trained on real images
FEWEST_POINTS = 3  # a line through two points has no error
NO_CURVE = (
    "This trial has no learning curve of real images (two or more trial.shares), so nothing can be "
    "expressed in real images."
)
NOT_TESTED = "Synthetic only was not tested: {}."
NO_SYNTHETIC_ONLY = (
    "This trial has no arm of synthetic images only (trial.arms), so nothing can be expressed in "
    "real images."
)


def verdict_json(
    trial: Trial,
    outcome: Outcome,
    comparisons: Comparisons,
    equivalent: Equivalent,
    splits: Splits,
    source: str,
    missing: Sequence[str] = (),
) -> dict[str, Any]:
    """report.json's ``verdict``. ``missing``: classes that the synthetic set lacks."""
    cheap = comparisons.best_cheap
    real = outcome.arms[REAL]
    ceiling = ceiling_sentence(comparisons.primary, estimate_of(real, outcome, splits).value)
    gaps = holdout_gaps(outcome, splits, [real, chosen_arm(outcome)])
    above = far_above(gaps, trial.minimum_difference)
    sentence = verdict_sentence(
        comparisons,
        trial.minimum_difference,
        splits,
        trial.seeds,
        source,
        tail=outcome.tail,
        missing=missing,
        ceiling=ceiling,
        gap=gap_sentence(above, splits, choosing_name(outcome.endpoint)),
    )
    if equivalent.replaces is not None:
        words = equivalent_sentence(equivalent, choosing_name(outcome.endpoint))
        sentence = f"{sentence} {words}"
    return {
        "endpoint": outcome.endpoint,
        "minimum_difference": trial.minimum_difference,
        "holdout_gaps": [{**gap.to_json(), "far_above": gap in above} for gap in gaps],
        "sentence": sentence,
        "ceiling": ceiling,
        "against_best_cheap": cheap and {**cheap.to_json(), "name": cheap.against.name},
        "real_equivalent": equivalent.to_json(),
        "arms": [comparison.to_json() for comparison in comparisons.every],
    }


def trial_json(
    trial: Trial, outcome: Outcome, comparisons: Comparisons, splits: Splits, source: str
) -> dict[str, Any]:
    """report.json's ``trial``: what each arm scored, and how everything was chosen."""
    real = outcome.arms[REAL]
    shown = [real, *compared_arms(outcome)]
    curve = mean_curve(real)
    warning = convergence_sentence([(int(point["step"]), point["holdout"]) for point in curve])
    return {
        "protocol": {
            **trial.describe(),
            "endpoint": outcome.endpoint,
            "chosen_by": choosing_name(outcome.endpoint),
            "seeds": outcome.seeds,
            "steps": outcome.steps,
            "source": source,
            "choices": choice_sentences(outcome, comparisons, splits)
            + ([warning] if warning else []),
            "units": "groups of test images" if splits.test_groups is not None else "test images",
        },
        "arms": [arm_json(trained, outcome, comparisons, splits) for trained in shown],
        "ratio_curve": ratio_curve(outcome, splits),
        "learning_curve": [
            {"images": trained.arm.n_real, **estimate_json(estimate_of(trained, outcome, splits))}
            for trained in learning_arms(outcome)
        ],
        "convergence": {trained.arm.name: mean_curve(trained) for trained in shown},
        "skipped": [{"arm": arm, "reason": reason} for arm, reason in outcome.skipped.items()],
        "tail": tail_json(shown, outcome, splits),
        "test_images": dict(zip(splits.test.classes, splits.test.counts, strict=True)),
        "scenarios": scenarios_json(shown, splits),
    }


def arm_json(
    trained: Trained, outcome: Outcome, comparisons: Comparisons, splits: Splits
) -> dict[str, Any]:
    arm, test = trained.arm, splits.test
    classes = len(test.classes)
    matrices = [confusion(test.labels, one, classes) for one in trained.predictions(TEST)]
    recall = torch.stack([class_recall(matrix) for matrix in matrices]).mean(0)
    return {
        "name": arm.name,
        "label": arm.label,
        "kind": arm.kind,
        "ratio": arm.ratio,
        "n_real": arm.n_real,
        "n_synthetic": arm.n_synthetic,
        "n": len(test),
        "test": estimate_json(estimate_of(trained, outcome, splits)),
        **{
            name: estimate_json(whole_estimate(SCORES[name], trained, splits))
            for name in ("accuracy", "balanced_accuracy")
        },
        "holdout": holdout_score(trained, outcome.choosing, splits),
        "per_seed": [
            float(value_of(outcome.score, test.labels, one, classes))
            for one in trained.answers(TEST)
        ],
        "recall": dict(zip(test.classes, recall.tolist(), strict=True)),
        "chosen_steps": [examination.chosen_step for examination in trained.examinations],
        "seconds": round(sum(examination.seconds for examination in trained.examinations), 2),
        "mcnemar": mcnemar_json(trained, outcome, splits) if arm.name != REAL else None,
        "chosen": arm.name == comparisons.primary.arm.name,
    }


def mcnemar_json(trained: Trained, outcome: Outcome, splits: Splits) -> list[dict[str, Any]]:
    """Seed by seed; see :class:`contrast.McNemar` for why they are never pooled."""
    found = []
    real = outcome.arms[REAL].predictions(TEST)
    for seed, ours, theirs in zip(outcome.seeds, trained.predictions(TEST), real, strict=True):
        one = mcnemar(splits.test.labels, ours, theirs)
        found.append(
            {
                "seed": seed,
                "only_this_right": one.only_ours,
                "only_real_right": one.only_theirs,
                "p": one.p,
            }
        )
    return found


def whole_estimate(score: Criterion, trained: Trained, splits: Splits) -> Estimate:
    """Of a score that rests on all test images."""
    return score_estimate(
        score,
        splits.test.labels,
        trained.answers(TEST),
        len(splits.test.classes),
        groups=splits.test_groups,
    )


def estimate_of(trained: Trained, outcome: Outcome, splits: Splits) -> Estimate:
    """On the endpoint."""
    test = splits.test
    return score_estimate(
        outcome.score,
        test.labels,
        trained.answers(TEST),
        len(test.classes),
        among=images_of_endpoint(outcome.endpoint, outcome.tail, test.labels),
        groups=splits.test_groups,
    )


def estimate_json(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high}


def ratio_curve(outcome: Outcome, splits: Splits) -> list[dict[str, Any]]:
    """Real + synthetic by ratio, on the holdout that chose and on the test split."""
    return [
        {
            "ratio": trained.arm.ratio,
            "holdout": holdout_score(trained, outcome.choosing, splits),
            "test": (estimate := estimate_of(trained, outcome, splits)).value,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
            "chosen": trained.arm.ratio == outcome.choices.ratio,
        }
        for trained in outcome.arms.values()
        if trained.arm.name.startswith("real_and_synthetic_")
    ]


def learning_arms(outcome: Outcome) -> list[Trained]:
    """Real data alone, from the smallest part to all."""
    fractions = [arm for arm in outcome.arms.values() if arm.arm.kind == "fraction"]
    return [*sorted(fractions, key=lambda one: one.arm.n_real), outcome.arms[REAL]]


def equivalent_of(outcome: Outcome, splits: Splits, seed: int) -> Equivalent:
    """A reason instead of numbers without a learning curve, or without synthetic images only."""
    arms = learning_arms(outcome)
    if len(arms) < FEWEST_POINTS:
        return Equivalent(None, None, NO_CURVE)
    if SYNTHETIC in outcome.skipped:
        return Equivalent(None, None, NOT_TESTED.format(outcome.skipped[SYNTHETIC]))
    if SYNTHETIC not in outcome.arms:
        return Equivalent(None, None, NO_SYNTHETIC_ONLY)

    def point(trained: Trained) -> Point:
        estimate = whole_estimate(outcome.choosing, trained, splits)
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


def mean_curve(trained: Trained) -> list[dict[str, float]]:
    """The endpoint on the holdout by optimizer step, mean over seeds."""
    curves = [examination.curve for examination in trained.examinations]
    return [
        {"step": points[0][0], "holdout": sum(value for _, value in points) / len(points)}
        for points in zip(*curves, strict=True)
    ]


def tail_json(shown: list[Trained], outcome: Outcome, splits: Splits) -> dict[str, Any] | None:
    """Recall of the rare classes by arm, and beside it that of the others, which it is easily paid
    with; None if no class is rare."""
    if not outcome.tail:
        return None
    test, tail = splits.test, outcome.tail
    others = [label for label in set(test.labels.tolist()) if label not in tail]

    def recall(labels: Sequence[int], trained: Trained) -> dict[str, float | None]:
        among = of_classes(labels, test.labels)
        score, answers = mean_recall_of(labels), trained.answers(TEST)
        classes, groups = len(test.classes), splits.test_groups
        found = score_estimate(score, test.labels, answers, classes, among=among, groups=groups)
        return estimate_json(found)

    return {
        "classes": [test.classes[label] for label in tail],
        "n": int(of_classes(tail, test.labels).sum()),
        "recall": {one.arm.name: recall(tail, one) for one in shown},
        "n_others": int(of_classes(others, test.labels).sum()),
        "others": {one.arm.name: recall(others, one) for one in shown} if others else {},
    }


def gan_test_json(outcome: Outcome, labels: Tensor, classes: tuple[str, ...]) -> dict[str, Any]:
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
        agreement[name] = {**estimate_json(wilson(right, count)), "n": count}
    overall = score_estimate(SCORES["accuracy"], labels, predictions, len(classes))
    return {"accuracy": estimate_json(overall), "n": len(labels), "label_agreement": agreement}


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
