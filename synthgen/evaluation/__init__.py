"""What a synthetic set is worth: fidelity, transfer to real images, and the report."""

from synthgen.evaluation.evaluator import evaluate
from synthgen.evaluation.features import ClassifierExtractor, Extractor, InceptionExtractor
from synthgen.evaluation.judges import Examination, Judge, Lesson, SmallCNNJudge
from synthgen.evaluation.result import Result
from synthgen.evaluation.trial import Trial

__all__ = [
    "ClassifierExtractor",
    "Examination",
    "Extractor",
    "InceptionExtractor",
    "Judge",
    "Lesson",
    "Result",
    "SmallCNNJudge",
    "Trial",
    "evaluate",
]
