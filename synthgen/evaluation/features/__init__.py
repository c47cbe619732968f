"""Feature spaces in which sets of images are compared."""

from synthgen.evaluation.features.base import Extractor
from synthgen.evaluation.features.classifier import ClassifierExtractor
from synthgen.evaluation.features.inception import InceptionExtractor

__all__ = ["ClassifierExtractor", "Extractor", "InceptionExtractor"]
