"""Test images made harder, at rising strength: what every arm's classifier is asked besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers.scores import SCORES, score_estimate
from synthgen.evaluation.features.base import Extractor
from synthgen.evaluation.trial.runner import Trained
from synthgen.seeds import row_seeds
from synthgen.stats import wilson
from synthgen.types import positions_by_class, spread_by_class

SCENARIO_IMAGES = 1000  # of the test split, so that many strengths stay affordable
SCENARIO = "scenario/"  # scenario/<corruption>/<strength>
SEED = 17  # one for all reports: every set is asked about the same corrupted images


def require_corruptions(names: Sequence[str]) -> None:
    """Raises SynthgenError for a name that no corruption has."""
    from synthgen.transforms.corruptions import CORRUPTIONS

    unknown = [name for name in names if name not in CORRUPTIONS]
    if unknown:
        raise SynthgenError(
            f"trial.scenarios names {', '.join(unknown)}, which is unknown.\n"
            f"There are {', '.join(CORRUPTIONS)}."
        )


def scenario_exams(
    splits: Splits, names: Sequence[str], strengths: Sequence[float]
) -> dict[str, Tensor]:
    """``scenario/<name>/<strength>`` -> uint8 images; the labels are :func:`scenario_labels`."""
    from synthgen.transforms.corruptions import CORRUPTIONS

    require_corruptions(names)
    clean = spread_by_class(splits.test, SCENARIO_IMAGES).images
    seeds = row_seeds(SEED, 0, len(clean))
    return {
        f"scenario/{name}/{strength:g}": CORRUPTIONS[name](clean, strength, seeds)
        for name in names
        for strength in strengths
    }


def own_answers(
    classifiers: Mapping[str, Extractor], exams: Mapping[str, Tensor], splits: Splits
) -> list[dict[str, Any]]:
    """Accuracy of finished classifiers on each exam of :func:`scenario_exams`, as the report shows
    it beside the arms. Raises SynthgenError where one doesn't give a logit for each class."""
    labels, classes, found = scenario_labels(splits), len(splits.test.classes), []
    for title, classifier in classifiers.items():
        classifier.prepare(splits.train, SEED)
        for exam, images in exams.items():
            logits = classifier.extract(images, f"{title}: {exam}")
            if logits.shape[1] != classes:
                raise SynthgenError(
                    f"trial.classifiers.{title} gives {logits.shape[1]} values per image, but "
                    f"there are {classes} classes.\nGive a network whose outputs are logits in "
                    f"the order of the classes: {', '.join(splits.test.classes[:20])}"
                )
            _, name, strength = exam.split("/")
            right = int((logits.argmax(1) == labels).sum())
            accuracy = wilson(right, len(labels))
            found.append(
                {
                    "name": name,
                    "strength": float(strength),
                    "arm": title,
                    "n": len(labels),
                    "accuracy": accuracy.value,
                    "ci_low": accuracy.low,
                    "ci_high": accuracy.high,
                }
            )
    return found


def scenario_labels(splits: Splits) -> Tensor:
    """int64 labels of every scenario's images."""
    return spread_by_class(splits.test, SCENARIO_IMAGES).labels


def scenario_groups(splits: Splits) -> Tensor | None:
    """Which of every scenario's images belong together; None: each by itself."""
    if splits.test_groups is None:
        return None
    return splits.test_groups[positions_by_class(splits.test.labels, SCENARIO_IMAGES)]


def scenarios_json(shown: Sequence[Trained], splits: Splits) -> list[dict[str, Any]]:
    """Accuracy of every arm's classifiers on each corrupted copy of (part of) the test images."""
    found = []
    for trained in shown:
        for exam in trained.examinations[0].answers:
            if not exam.startswith(SCENARIO):
                continue
            _, name, strength = exam.split("/")
            labels = scenario_labels(splits)
            estimate = score_estimate(
                SCORES["accuracy"],
                labels,
                trained.predictions(exam),
                len(splits.test.classes),
                groups=scenario_groups(splits),
            )
            found.append(
                {
                    "name": name,
                    "strength": float(strength),
                    "arm": trained.arm.name,
                    "n": len(labels),
                    "accuracy": estimate.value,
                    "ci_low": estimate.low,
                    "ci_high": estimate.high,
                }
            )
    return found
