"""Likelihoods: how an image is distributed around a decoder's output."""

from synthgen.vae.likelihoods.bernoulli import BernoulliLikelihood
from synthgen.vae.likelihoods.gaussian import GaussianLikelihood
from synthgen.vae.likelihoods.laplace import LaplaceLikelihood
from synthgen.vae.likelihoods.logistic_mixture import LogisticMixtureLikelihood
from synthgen.vae.likelihoods.normal import (
    FixedGaussianLikelihood,
    LearnedGaussianLikelihood,
    PixelGaussianLikelihood,
)

__all__ = [
    "BernoulliLikelihood",
    "FixedGaussianLikelihood",
    "GaussianLikelihood",
    "LaplaceLikelihood",
    "LearnedGaussianLikelihood",
    "LogisticMixtureLikelihood",
    "PixelGaussianLikelihood",
]
