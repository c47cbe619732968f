"""Test images made harder, at rising strength: what every arm's classifier is asked besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers.scores import SCORES, score_estimate
from synthgen.evaluation.features.base import Extractor
from synthgen.evaluation.trial.runner import Trained
from synthgen.evaluation.trial.schema import Scenario
from synthgen.seeds import row_seeds
from synthgen.stats import Estimate, wilson
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
) -> list[Scenario]:
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
            right = int((logits.argmax(1) == labels).sum())
            found.append(scenario(exam, title, len(labels), wilson(right, len(labels))))
    return found


def scenario(exam: str, arm: str, n: int, accuracy: Estimate) -> Scenario:
    _, name, strength = exam.split("/")
    return Scenario(
        name=name,
        strength=float(strength),
        arm=arm,
        n=n,
        accuracy=accuracy.value,
        ci_low=accuracy.low,
        ci_high=accuracy.high,
    )


def scenario_labels(splits: Splits) -> Tensor:
    """int64 labels of every scenario's images."""
    return spread_by_class(splits.test, SCENARIO_IMAGES).labels


def scenario_groups(splits: Splits) -> Tensor | None:
    """Which of every scenario's images belong together; None: each by itself."""
    if splits.test_groups is None:
        return None
    return splits.test_groups[positions_by_class(splits.test.labels, SCENARIO_IMAGES)]


def scenarios(shown: Sequence[Trained], splits: Splits) -> list[Scenario]:
    """Accuracy of every arm's classifiers on each corrupted copy of (part of) the test images."""
    labels, groups = scenario_labels(splits), scenario_groups(splits)

    def asked(trained: Trained, exam: str) -> Scenario:
        answers, classes = trained.predictions(exam), len(splits.test.classes)
        accuracy = score_estimate(SCORES["accuracy"], labels, answers, classes, groups=groups)
        return scenario(exam, trained.arm.name, len(labels), accuracy)

    return [
        asked(trained, exam)
        for trained in shown
        for exam in trained.examinations[0].answers
        if exam.startswith(SCENARIO)
    ]
