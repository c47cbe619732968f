"""Classifiers from scikit-learn, on features."""

from __future__ import annotations

import time
import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers.base import (
    HOLDOUT,
    Classifier,
    ClassifierRequest,
    EarlyStopping,
    Predictions,
    TrainingRecipe,
    answers_of,
)
from synthgen.evaluation.features.base import Extractor
from synthgen.evaluation.schema import ClassifierDescription
from synthgen.ranges import Count, Few, Positive
from synthgen.seeds import Stream, step_generator
from synthgen.types import LabelledImages

AUGMENTED_AT_ONCE = 1000  # images
LEAST_PROBABILITY = 1e-6  # a forest says 0 of what none of its trees ever saw
SEEDS = 2**32  # scikit-learn takes no larger ones


class EstimatorClassifier(Classifier):
    """Fits a scikit-learn classifier to standardised features. It takes no optimizer steps: the
    curve has one point, at the trial's number of steps, and a ``score`` has nothing to choose from.

    Args:
        features: what the images are turned into; None: their pixels. An extractor gets ready from
            the real training split, when the classifier is asked for its steps.
        copies: augmented copies of each image that are learned beside it, in recipes that augment.
    """

    steps = None
    batch_size = 128  # for the number of steps, which only names the curve's point

    def __init__(self, features: Extractor | None, copies: int) -> None:
        if copies < 1:
            raise ValueError(f"copies must be 1 or more, got {copies}")
        self.features = features
        self.copies = copies

    @abstractmethod
    def estimator(self, seed: int) -> Any:
        """A scikit-learn classifier whose ``fit`` takes ``sample_weight``."""

    @abstractmethod
    def settings(self) -> str:
        """The estimator in words, for the report's protocol."""

    def steps_for(self, real_train: LabelledImages) -> int:
        if self.features is not None:
            self.features.prepare(real_train, 0)
        return super().steps_for(real_train)

    def why_not(self, recipe: TrainingRecipe) -> str | None:
        if recipe.mixup:
            return f"{self.name} learns from one label per image, so it can't follow mixup."
        if recipe.pretrain is not None:
            return f"{self.name} is fitted in one go, so it can't be pre-trained."
        return None

    def examine(self, request: ClassifierRequest) -> Predictions:
        recipe, classes = request.recipe, len(request.holdout.classes)
        reason = self.why_not(recipe)
        if reason:
            raise SynthgenError(f"{reason}\nLeave that arm out, or choose another judge.")
        started = time.perf_counter()
        images, labels, weights = self.learned(recipe, request.seed)
        rows = self.rows(images)
        centre, scale = (
            rows.mean(0),
            rows.std(0, correction=0).square().mean().sqrt().clamp_min(1e-6),
        )
        estimator = self.estimator(request.seed % SEEDS)
        with warnings.catch_warnings():
            from sklearn.exceptions import ConvergenceWarning

            warnings.simplefilter("ignore", ConvergenceWarning)  # the iterations are the budget
            inputs = ((rows - centre) / scale).numpy()
            estimator.fit(inputs, labels.numpy(), sample_weight=weights)
        answers = {}
        for name, asked in request.asked.items():
            inputs = ((self.rows(asked) - centre) / scale).numpy()
            answers[name] = answers_of(
                probabilities(estimator, inputs, classes).log(), recipe.offsets
            )
        watch = EarlyStopping(request.holdout.labels, classes, request.score)
        watch.see(request.steps, answers[HOLDOUT])
        return Predictions(answers, watch.curve, request.steps, time.perf_counter() - started)

    def learned(self, recipe: TrainingRecipe, seed: int) -> tuple[Tensor, Tensor, Any]:
        """Images, labels, and weights (float64 array of mean 1, or None), with augmented copies."""
        data = recipe.data
        weights = sample_weights(recipe)
        if recipe.augment is None:
            return data.images, data.labels, weights
        images = [data.images]
        for copy in range(self.copies):
            for part, some in enumerate(data.images.split(AUGMENTED_AT_ONCE)):
                generator = step_generator(seed, Stream.AUGMENT, copy, part)
                images.append(recipe.augment(some, generator))
        times = 1 + self.copies
        weights = None if weights is None else np.tile(weights, times)
        return torch.cat(images), data.labels.repeat(times), weights

    def rows(self, images: Tensor) -> Tensor:
        """float32 ``(N, D)``."""
        if self.features is None:
            return images.flatten(1).float()
        return self.features.extract(images)

    def describe(self, steps: int) -> ClassifierDescription:
        on = "pixels" if self.features is None else self.features.name
        return ClassifierDescription(
            name=self.name,
            network=f"{self.settings()} on {on}, centred and divided by their overall spread",
            steps=steps,
            batch_size=None,
            optimizer="scikit-learn, to convergence or the most iterations",
            augmentation=f"none, unless the arm says so: then {self.copies} more copies",
            precision="float32",
            device="cpu",
        )


def probabilities(estimator: Any, inputs: Any, classes: int) -> Tensor:
    """float64 ``(N, K)``, none quite 0: not even that of a class that was never shown."""
    found = torch.zeros(len(inputs), classes, dtype=torch.float64)
    found[:, estimator.classes_] = torch.from_numpy(estimator.predict_proba(inputs)).double()
    return found.clamp_min(LEAST_PROBABILITY)


def sample_weights(recipe: TrainingRecipe) -> Any:
    """How much each image counts: as often as it is drawn, times its class's factor."""
    if recipe.sampling_weights is None and recipe.class_weights is None:
        return None
    weights = torch.ones(len(recipe.data), dtype=torch.float64)
    if recipe.sampling_weights is not None:
        weights *= recipe.sampling_weights
    if recipe.class_weights is not None:
        weights *= recipe.class_weights[recipe.data.labels]
    return (weights / weights.mean()).numpy()


# Multinomial logistic regression, fitted to the end.


class LogisticRegressionClassifier(EstimatorClassifier):
    """scikit-learn's, by L-BFGS. Its outcome does not depend on the seed, unless a recipe augments.

    Args:
        inverse_penalty: ``C``, one over the factor of the squared weights.
    """

    name = "logistic_regression"

    def __init__(
        self,
        features: Extractor | None = None,
        inverse_penalty: Positive = 1.0,
        iterations: Count = 200,
        copies: Few = 4,
    ) -> None:
        super().__init__(features, copies)
        self.inverse_penalty = inverse_penalty
        self.iterations = iterations

    def estimator(self, seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(
            C=self.inverse_penalty, max_iter=self.iterations, random_state=seed
        )

    def settings(self) -> str:
        return f"logistic regression (C = {self.inverse_penalty:g})"


class ForestClassifier(EstimatorClassifier):
    """scikit-learn's.

    A random forest (Breiman 2001).
    """

    name = "random_forest"

    def __init__(
        self, features: Extractor | None = None, trees: Few = 200, copies: Few = 4
    ) -> None:
        super().__init__(features, copies)
        self.trees = trees

    def estimator(self, seed: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_estimators=self.trees, random_state=seed)

    def settings(self) -> str:
        return f"random forest of {self.trees} trees"
