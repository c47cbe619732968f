"""Class-conditional priors over latents."""

from synthgen.vae.priors.gaussian import ClassGaussianPrior
from synthgen.vae.priors.standard_normal import StandardNormalPrior
from synthgen.vae.priors.vamp import DiagonalMixture, VampPrior

__all__ = ["ClassGaussianPrior", "DiagonalMixture", "StandardNormalPrior", "VampPrior"]
