"""Samplers around trained networks: the generator of a GAN, the decoder of a VAE."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_uint8
from synthgen.networks.base import Generator
from synthgen.samplers.latent_space import LatentSampler, of_mixed_classes, spherical
from synthgen.samplers.spread import Spread


class GeneratorSampler(LatentSampler):
    """Standard normal latents through a generator."""

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator.image)
        self.generator = generator

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        return to_uint8(self.generator(self.latents(labels, seeds), labels.to(self.device)))

    def latents(self, labels: Tensor, seeds: Tensor) -> Tensor:
        return self.spread.normal(seeds, self.generator.z_dim).to(self.device)

    def decode(self, z: Tensor, class_weights: Tensor) -> Tensor:
        return of_mixed_classes(self.generator, z, class_weights)

    def between(self, first: Tensor, second: Tensor, share: Tensor) -> Tensor:
        return spherical(first, second, share)


class LatentDensity(Protocol):
    """A class-conditional density over latents: a prior, or one fitted after training."""

    def sample(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """int64 ``(N,)``, int64 ``(N,)`` -> float32 ``(N, Z)``; row i depends on its seed alone."""
        ...


@runtime_checkable
class SpreadableDensity(LatentDensity, Protocol):
    """A density whose draws are a function of standard normal numbers."""

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        """As ``sample``, with the float32 ``(N, Z)`` numbers ``standard`` in place of the seeds'
        own."""
        ...


def require_spreadable(density: LatentDensity) -> None:
    """Raises SynthgenError for a density that temperature and truncation can't act on."""
    if not isinstance(density, SpreadableDensity):
        raise SynthgenError(
            f"{type(density).__name__} can't be drawn from with temperature or truncation.\n"
            "Leave them out."
        )


def drawn(
    density: LatentDensity, spread: Spread, labels: Tensor, seeds: Tensor, z_dim: int
) -> Tensor:
    """Latents ``(N, z_dim)`` of a density as ``spread`` widens or narrows it, where labels are."""
    if spread == Spread() or not isinstance(density, SpreadableDensity):
        return density.sample(labels, seeds)
    return density.place(labels, seeds, spread.normal(seeds, z_dim).to(labels.device))


class Likelihood(Protocol):
    """How images are distributed around a decoder's output."""

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image in [-1, 1], float32 ``(N, C, H, W)``."""
        ...


class DecoderSampler(LatentSampler):
    """Latents from a class-conditional density through a decoder; the likelihood's mean image.

    Density and likelihood are modules and Rebuildable, so that they can be saved.
    """

    def __init__(self, decoder: Generator, density: LatentDensity, likelihood: Likelihood) -> None:
        super().__init__(decoder.image)
        self.decoder = decoder
        self.density, self.likelihood = density, likelihood

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        labels = labels.to(self.device)
        return to_uint8(self.likelihood.mean(self.decoder(self.latents(labels, seeds), labels)))

    def set_latents(self, *, temperature: float | None, truncation: float | None) -> None:
        require_spreadable(self.density)
        super().set_latents(temperature=temperature, truncation=truncation)

    def latents(self, labels: Tensor, seeds: Tensor) -> Tensor:
        labels = labels.to(self.device)
        return drawn(self.density, self.spread, labels, seeds, self.decoder.z_dim)

    def decode(self, z: Tensor, class_weights: Tensor) -> Tensor:
        return self.likelihood.mean(of_mixed_classes(self.decoder, z, class_weights))

    def between(self, first: Tensor, second: Tensor, share: Tensor) -> Tensor:
        """A straight line: the density need not lie around the origin."""
        return torch.lerp(first, second, share[:, None])
