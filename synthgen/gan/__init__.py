"""Generative adversarial networks."""

from synthgen.gan.module import GAN

__all__ = [
    "GAN",
]
