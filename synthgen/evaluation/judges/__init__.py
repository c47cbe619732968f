"""Kinds of classifiers that are trained on a lesson and examined on real images."""

from synthgen.evaluation.judges.base import HOLDOUT, Augment, Examination, Job, Judge, Lesson
from synthgen.evaluation.judges.crop_affine import CropAffine
from synthgen.evaluation.judges.crop_flip import CropFlip
from synthgen.evaluation.judges.linear import LinearJudge
from synthgen.evaluation.judges.logistic_regression import LogisticRegressionJudge
from synthgen.evaluation.judges.mlp import MLPJudge
from synthgen.evaluation.judges.random_forest import RandomForestJudge
from synthgen.evaluation.judges.resnet18 import ResNet18Judge
from synthgen.evaluation.judges.resnet_cifar import ResNet56Judge
from synthgen.evaluation.judges.small_cnn import SmallCNNJudge
from synthgen.evaluation.judges.trivial_augment import TrivialAugment

__all__ = [
    "HOLDOUT",
    "Augment",
    "CropAffine",
    "CropFlip",
    "Examination",
    "Job",
    "Judge",
    "Lesson",
    "LinearJudge",
    "LogisticRegressionJudge",
    "MLPJudge",
    "RandomForestJudge",
    "ResNet18Judge",
    "ResNet56Judge",
    "SmallCNNJudge",
    "TrivialAugment",
]
