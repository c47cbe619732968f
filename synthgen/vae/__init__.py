"""Variational autoencoders."""

from synthgen.vae.ladder import LadderVAE
from synthgen.vae.module import VAE
from synthgen.vae.vq import VQVAE

__all__ = [
    "VAE",
    "VQVAE",
    "LadderVAE",
]
