"""What a synthetic set is worth: fidelity, transfer to real images, and the report."""

from synthgen.evaluation.classifiers.base import Classifier, Predictions, TrainingRecipe
from synthgen.evaluation.classifiers.extractor import ClassifierExtractor
from synthgen.evaluation.classifiers.networks import SmallCNNClassifier
from synthgen.evaluation.evaluator import evaluate
from synthgen.evaluation.features.base import Extractor
from synthgen.evaluation.features.inception import InceptionExtractor
from synthgen.evaluation.result import Result
from synthgen.evaluation.trial.trial import Trial

__all__ = [
    "Classifier",
    "ClassifierExtractor",
    "Extractor",
    "InceptionExtractor",
    "Predictions",
    "Result",
    "SmallCNNClassifier",
    "TrainingRecipe",
    "Trial",
    "evaluate",
]
