"""Metrics of features of real and synthetic images: objects for reports and loops, and the pure
functions below them.

A function takes ``real=``, float ``(N, D)``, and ``fake=``, ``(M, D)``, from NumPy or torch, a row
per image; all is computed on the CPU."""

from synthgen.metrics.arrays import Strata
from synthgen.metrics.base import Comparison, Metric
from synthgen.metrics.diversity import (
    InceptionScore,
    VendiScore,
    inception_score,
    inception_score_estimate,
    vendi_estimate,
    vendi_score,
)
from synthgen.metrics.frechet import (
    FrechetDistance,
    FrechetInfinity,
    frechet_distance,
    frechet_estimate,
    frechet_from_moments,
    frechet_infinity,
    frechet_infinity_estimate,
)
from synthgen.metrics.kernel import (
    CMMD,
    KID,
    MIND,
    MMD,
    cmmd,
    kernel_estimates,
    kid,
    kid_estimate,
    mind,
    mind_estimate,
    mmd,
    sliced_wasserstein,
)
from synthgen.metrics.manifold import (
    Coverage,
    Density,
    Precision,
    Recall,
    coverage,
    density,
    manifold_estimates,
    precision,
    recall,
)
from synthgen.stats import Estimate

STANDARD: tuple[Metric, ...] = (
    FrechetDistance(),
    FrechetInfinity(),
    KID(),
    MMD(),
    MIND(),
    Precision(),
    Recall(),
    Density(),
    Coverage(),
    VendiScore(),
    InceptionScore(),
)
"""What a report measures unless it is told otherwise, in its order: ``metric=standard``."""

__all__ = [
    "CMMD",
    "KID",
    "MIND",
    "MMD",
    "STANDARD",
    "Comparison",
    "Coverage",
    "Density",
    "Estimate",
    "FrechetDistance",
    "FrechetInfinity",
    "InceptionScore",
    "Metric",
    "Precision",
    "Recall",
    "Strata",
    "VendiScore",
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
