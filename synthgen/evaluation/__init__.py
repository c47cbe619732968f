"""What a synthetic set is worth: fidelity, transfer to real images, and the report."""

from synthgen.evaluation.evaluator import evaluate
from synthgen.evaluation.features import ClassifierExtractor, Extractor, InceptionExtractor
from synthgen.evaluation.judge import Examination, Judge
from synthgen.evaluation.result import Result

__all__ = [
    "ClassifierExtractor",
    "Examination",
    "Extractor",
    "InceptionExtractor",
    "Judge",
    "Result",
    "evaluate",
]
