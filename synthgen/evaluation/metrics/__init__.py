"""Metrics of sets of features: pure functions, keyword-only ``real=`` and ``fake=``."""

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
)
from synthgen.evaluation.metrics.infinity import frechet_infinity, frechet_infinity_estimate
from synthgen.evaluation.metrics.intervals import Estimate
from synthgen.evaluation.metrics.kernel import cmmd, kernel_estimates, kid, kid_estimate, mmd
from synthgen.evaluation.metrics.manifold import (
    coverage,
    density,
    manifold_estimates,
    precision,
    recall,
)
from synthgen.evaluation.metrics.sliced import mind, mind_estimate, sliced_wasserstein
from synthgen.evaluation.metrics.strata import Strata

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
