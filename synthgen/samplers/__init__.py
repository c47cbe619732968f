"""Samplers: whatever draws labelled images, and the folder they are saved in."""

from synthgen.samplers.artifact import load_sampler, save_sampler
from synthgen.samplers.base import FittedSampler, Sampler
from synthgen.samplers.controls import Bootstrap, Noise, ShuffledLabels
from synthgen.samplers.procedural import Drawn, RuleAugmented
from synthgen.samplers.statistical import (
    GaussianMixture,
    Interpolation,
    KernelDensity,
    PCAGaussian,
)

__all__ = [
    "Bootstrap",
    "Drawn",
    "FittedSampler",
    "GaussianMixture",
    "Interpolation",
    "KernelDensity",
    "Noise",
    "PCAGaussian",
    "RuleAugmented",
    "Sampler",
    "ShuffledLabels",
    "load_sampler",
    "save_sampler",
]
