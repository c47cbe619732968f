"""Likelihoods: how an image is distributed around a decoder's output."""

from synthgen.vae.likelihoods.bernoulli import BernoulliLikelihood
from synthgen.vae.likelihoods.gaussian import GaussianLikelihood

__all__ = ["BernoulliLikelihood", "GaussianLikelihood"]
