"""Variational autoencoders."""

from synthgen.vae.module import VAE

__all__ = ["VAE"]
