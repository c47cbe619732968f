"""Metrics of sets of features: pure functions, keyword-only ``real=`` and ``fake=``."""

from synthgen.evaluation.metrics.arrays import Strata
from synthgen.evaluation.metrics.diversity import (
    inception_score,
    inception_score_estimate,
    vendi_estimate,
    vendi_score,
)
from synthgen.evaluation.metrics.frechet import (
    frechet_distance,
    frechet_estimate,
    frechet_from_moments,
    frechet_infinity,
    frechet_infinity_estimate,
)
from synthgen.evaluation.metrics.kernel import (
    cmmd,
    kernel_estimates,
    kid,
    kid_estimate,
    mind,
    mind_estimate,
    mmd,
    sliced_wasserstein,
)
from synthgen.evaluation.metrics.manifold import (
    coverage,
    density,
    manifold_estimates,
    precision,
    recall,
)
from synthgen.stats import Estimate

__all__ = [
    "Estimate",
    "Strata",
    "cmmd",
    "coverage",
    "density",
    "frechet_distance",
    "frechet_estimate",
    "frechet_from_moments",
    "frechet_infinity",
    "frechet_infinity_estimate",
    "inception_score",
    "inception_score_estimate",
    "kernel_estimates",
    "kid",
    "kid_estimate",
    "manifold_estimates",
    "mind",
    "mind_estimate",
    "mmd",
    "precision",
    "recall",
    "sliced_wasserstein",
    "vendi_estimate",
    "vendi_score",
]
