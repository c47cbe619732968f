"""A world of 30 real test images and classifiers whose every answer is written down beforehand."""

import pytest
import torch

from synthgen.data.splits import Splits
from synthgen.evaluation.classifiers.base import HOLDOUT, Classifier, Predictions, answers_of
from synthgen.evaluation.trial import Trial
from synthgen.evaluation.trial.arms import FixedFolder
from synthgen.types import LabelledImages

CLASSES = ("ant", "bee", "cat")
REAL, SYNTHETIC, BASELINE = 0, 200, 100  # the value of every pixel tells where an image is from


def pictures(count, value):
    return LabelledImages(
        torch.full((count, 1, 2, 2), value, dtype=torch.uint8),
        torch.arange(count) % len(CLASSES),
        CLASSES,
    )


def with_mistakes(labels, count, offset=0):
    """``count`` wrong answers, at places that ``offset`` shifts."""
    predicted = labels.clone()
    places = (torch.arange(count) + offset) % len(labels)
    predicted[places] = (labels[places] + 1) % len(CLASSES)
    return predicted


def sure_of(labels):
    """Log-probabilities that leave no doubt about ``labels``."""
    return answers_of(9.0 * torch.nn.functional.one_hot(labels, len(CLASSES)))


def arm_of(recipe):
    """The arm that a recipe belongs to, as a trial names it."""
    values = recipe.data.images[:, 0, 0, 0]
    real, made = int((values == REAL).sum()), int((values == SYNTHETIC).sum())
    if recipe.pretrain is not None:
        return "pretrained_on_synthetic"
    if recipe.augment is not None:
        return "augmentation_and_synthetic" if made else f"augmentation_{recipe.augment}"
    if recipe.sampling_weights is not None:
        return "oversampling"
    if recipe.class_weights is not None:
        return "class_weights"
    if recipe.mixup:
        return "mixup"
    if (values == BASELINE).any():
        return "real_and_baseline" if real else "baseline_only"
    if made:
        return f"real_and_synthetic_{made / real:g}" if real else "synthetic_only"
    return "real_only" if real == 30 else f"real_share_{real / 30:g}"


class ScriptedClassifier(Classifier):
    """``table``: arm -> (mistakes on the holdout, mistakes on the test images); seed k makes them k
    places further on. ``interrupt_at``: the training at which a key is pressed."""

    name, batch_size, steps = "scripted", 4, 8

    def __init__(self, splits, table, interrupt_at=None):
        self.labels = {"test": splits.test.labels}
        self.table, self.interrupt_at, self.taught = table, interrupt_at, []

    def examine(self, request):
        arm, seed, steps = arm_of(request.recipe), request.seed, request.steps
        if self.interrupt_at == len(self.taught):
            raise KeyboardInterrupt
        self.taught.append((arm, seed))
        on_holdout, on_test = self.table.get(arm, (6, 6))
        offset = seed % 1000
        predictions = {
            name: with_mistakes(self.labels["test"], on_test, offset)
            if name == "test"
            else torch.full((len(images),), seed % 3)
            for name, images in request.exams.items()
        }
        predictions[HOLDOUT] = with_mistakes(request.holdout.labels, on_holdout, offset)
        curve = [(step, 0.5 + step / 100) for step in range(2, steps + 1, 2)]
        answers = {name: sure_of(labels) for name, labels in predictions.items()}
        return Predictions(answers, curve, steps, 0.25)

    def describe(self, steps):
        return {"name": self.name, "steps": steps}


@pytest.fixture
def splits():
    return Splits(
        train=pictures(30, REAL),
        holdout=pictures(60, REAL),
        test=pictures(300, REAL),
        digest="d" * 64,
        recipe={},
        assignment={},
        notes=(),
        name="scripted",
    )


@pytest.fixture
def folder():
    return FixedFolder(pictures(120, SYNTHETIC), seed=1)


@pytest.fixture
def classifier_of(splits):
    return lambda table, **options: ScriptedClassifier(splits, table, **options)


@pytest.fixture
def hold(splits, folder):
    """Run a trial with everything that a test doesn't care about filled in."""

    def run(
        classifier,
        *,
        splits=splits,
        source=folder,
        baseline=None,
        store=None,
        exams=None,
        **options,
    ):
        options = {"ratios": [0.5, 1, 2], "shares": [], "arms": [], "seeds": 3, **options}
        return Trial(**options).run(
            splits,
            source,
            n_synthetic_only=30,
            classifier=classifier,
            baseline=baseline,
            exams=exams or {},
            seed=4,
            store=store,
        )

    return run


@pytest.fixture
def baseline_source():
    return FixedFolder(pictures(120, BASELINE), seed=2)
