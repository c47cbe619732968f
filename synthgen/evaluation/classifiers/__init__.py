"""Kinds of classifiers that are trained by a recipe and asked about real images."""

from synthgen.evaluation.classifiers.augment import CropAffine, CropFlip, TrivialAugment
from synthgen.evaluation.classifiers.base import (
    HOLDOUT,
    Augment,
    Classifier,
    ClassifierRequest,
    Predictions,
    TrainingRecipe,
)
from synthgen.evaluation.classifiers.batched_mlp import LinearClassifier, MLPClassifier
from synthgen.evaluation.classifiers.extractor import ClassifierExtractor
from synthgen.evaluation.classifiers.networks import (
    ResNet18Classifier,
    ResNet56Classifier,
    SmallCNNClassifier,
)
from synthgen.evaluation.classifiers.sklearn import ForestClassifier, LogisticRegressionClassifier

__all__ = [
    "HOLDOUT",
    "Augment",
    "Classifier",
    "ClassifierExtractor",
    "ClassifierRequest",
    "CropAffine",
    "CropFlip",
    "ForestClassifier",
    "LinearClassifier",
    "LogisticRegressionClassifier",
    "MLPClassifier",
    "Predictions",
    "ResNet18Classifier",
    "ResNet56Classifier",
    "SmallCNNClassifier",
    "TrainingRecipe",
    "TrivialAugment",
]
