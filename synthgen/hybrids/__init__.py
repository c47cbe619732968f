"""Models with the parts of both families: VAE-GAN, autoencoders with an adversary."""

from synthgen.hybrids.autoencoder import Autoencoder
from synthgen.hybrids.bottleneck import Bottleneck, KLBottleneck, PrincipalMixture, VQBottleneck
from synthgen.hybrids.vae_gan import VAEGAN

__all__ = [
    "VAEGAN",
    "Autoencoder",
    "Bottleneck",
    "KLBottleneck",
    "PrincipalMixture",
    "VQBottleneck",
]
