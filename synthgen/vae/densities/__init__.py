"""Densities over latents that are fitted after training, per class (Ghosh et al. 2020, section 4):
what the encoder really produces, where the prior is only what it was asked to produce."""

from synthgen.vae.densities.fitting import RunningGaussian
from synthgen.vae.densities.gaussian_mixture import GaussianMixtureDensity
from synthgen.vae.densities.maf import MAFDensity
from synthgen.vae.densities.two_stage import TwoStageDensity

__all__ = [
    "GaussianMixtureDensity",
    "MAFDensity",
    "RunningGaussian",
    "TwoStageDensity",
]
