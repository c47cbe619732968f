"""Metrics of sets of features: pure functions, keyword-only ``real=`` and ``fake=``."""

from synthgen.evaluation.metrics.frechet import frechet_distance, frechet_estimate
from synthgen.evaluation.metrics.intervals import Estimate
from synthgen.evaluation.metrics.kernel import kid, kid_estimate
from synthgen.evaluation.metrics.manifold import (
    coverage,
    density,
    manifold_estimates,
    precision,
    recall,
)

__all__ = [
    "Estimate",
    "coverage",
    "density",
    "frechet_distance",
    "frechet_estimate",
    "kid",
    "kid_estimate",
    "manifold_estimates",
    "precision",
    "recall",
]
