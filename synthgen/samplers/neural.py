"""Samplers around trained networks: the generator of a GAN, the decoder of a VAE."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from synthgen.images import to_uint8
from synthgen.networks.r3gan import R3Generator
from synthgen.samplers.base import Sampler
from synthgen.seeds import normal_latents


class GeneratorSampler(Sampler):
    """Standard normal latents through a generator."""

    def __init__(self, generator: R3Generator) -> None:
        super().__init__(generator.image)
        self.generator = generator

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        z = normal_latents(seeds, self.generator.z_dim).to(self.device)
        return to_uint8(self.generator(z, labels.to(self.device)))


class LatentDensity(Protocol):
    """A class-conditional density over latents: a prior, or one fitted after training."""

    def sample(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """int64 ``(N,)``, int64 ``(N,)`` -> float32 ``(N, Z)``; row i depends on its seed alone."""
        ...


class Likelihood(Protocol):
    """How images are distributed around a decoder's output."""

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image in [-1, 1], float32 ``(N, C, H, W)``."""
        ...


class DecoderSampler(Sampler):
    """Latents from a class-conditional density through a decoder; the likelihood's mean image.

    Density and likelihood are modules and Rebuildable, so that they can be saved.
    """

    def __init__(
        self, decoder: R3Generator, density: LatentDensity, likelihood: Likelihood
    ) -> None:
        super().__init__(decoder.image)
        self.decoder = decoder
        self.density, self.likelihood = density, likelihood

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        labels = labels.to(self.device)
        z = self.density.sample(labels, seeds)
        return to_uint8(self.likelihood.mean(self.decoder(z, labels)))
