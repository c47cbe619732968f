"""Class-conditional priors over latents."""

from synthgen.vae.priors.gaussian import ClassGaussianPrior

__all__ = ["ClassGaussianPrior"]
