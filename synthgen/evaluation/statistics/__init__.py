"""Statistical tests between real and synthetic images."""

from synthgen.evaluation.statistics.compare import compare_statistics
from synthgen.evaluation.statistics.corrections import benjamini_hochberg, holm
from synthgen.evaluation.statistics.distances import Shift, compare_each
from synthgen.evaluation.statistics.image_statistics import image_statistics
from synthgen.evaluation.statistics.labels import compare_labels
from synthgen.evaluation.statistics.two_sample import classifier_two_sample

__all__ = [
    "Shift",
    "benjamini_hochberg",
    "classifier_two_sample",
    "compare_each",
    "compare_labels",
    "compare_statistics",
    "holm",
    "image_statistics",
]
