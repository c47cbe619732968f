"""Samplers: whatever draws labelled images, and the folder they are saved in."""

from synthgen.samplers.artifact import load_sampler, save_sampler
from synthgen.samplers.base import FittedSampler, Sampler
from synthgen.samplers.bootstrap import Bootstrap
from synthgen.samplers.drawn import Drawn
from synthgen.samplers.gaussian_mixture import GaussianMixture
from synthgen.samplers.interpolation import Interpolation
from synthgen.samplers.kernel_density import KernelDensity
from synthgen.samplers.noise import Noise
from synthgen.samplers.pca_gaussian import PCAGaussian
from synthgen.samplers.rule_augmented import RuleAugmented
from synthgen.samplers.shuffled_labels import ShuffledLabels

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
