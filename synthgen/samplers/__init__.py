"""Samplers: whatever draws labelled images, and the folder they are saved in."""

from synthgen.samplers.artifact import load_sampler, save_sampler
from synthgen.samplers.base import FittedSampler, Sampler
from synthgen.samplers.bootstrap import Bootstrap
from synthgen.samplers.noise import Noise
from synthgen.samplers.pca_gaussian import PCAGaussian

__all__ = [
    "Bootstrap",
    "FittedSampler",
    "Noise",
    "PCAGaussian",
    "Sampler",
    "load_sampler",
    "save_sampler",
]
