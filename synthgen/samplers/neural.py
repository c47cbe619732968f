"""Samplers around trained networks: generators, decoders, ladders and codes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_levels
from synthgen.networks.base import Generator
from synthgen.networks.ladder import LadderDecoder
from synthgen.networks.vq import Codebook, CodeTransformer, VQDecoder
from synthgen.samplers.base import Sampler
from synthgen.samplers.latent_space import LatentSampler, Spread, of_mixed_classes, spherical
from synthgen.seeds import image_rng

# Samplers around trained networks: the generator of a GAN, the decoder of a VAE.


class GeneratorSampler(LatentSampler):
    """Standard normal latents through a generator."""

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator.image)
        self.generator = generator

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        return to_levels(
            self.generator(self.latents(labels, seeds), labels.to(self.device)), self.image.bits
        )

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
        return to_levels(
            self.likelihood.mean(self.decoder(self.latents(labels, seeds), labels)), self.image.bits
        )

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


# The sampler of a hierarchical VAE: the numbers of all levels at once.


class LadderSampler(GeneratorSampler):
    """Draws every level from its prior given the levels above (Sønderby et al. 2016, section 2);
    the image is the likelihood's mean. A latent is the numbers of all levels, standard normal
    under the prior, which temperature and truncation act on alike.

    Args:
        density: of the coarsest level's numbers; None = their prior, N(0, I).
    """

    def __init__(
        self,
        generator: LadderDecoder,
        likelihood: Likelihood,
        density: LatentDensity | None = None,
    ) -> None:
        super().__init__(generator)
        self.top_dim, self.likelihood, self.density = generator.top_dim, likelihood, density

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        outputs = self.generator(self.latents(labels, seeds), labels.to(self.device))
        return to_levels(self.likelihood.mean(outputs), self.image.bits)

    def set_latents(self, *, temperature: float | None, truncation: float | None) -> None:
        if self.density is not None:
            require_spreadable(self.density)
        super().set_latents(temperature=temperature, truncation=truncation)

    def latents(self, labels: Tensor, seeds: Tensor) -> Tensor:
        standard = super().latents(labels, seeds)
        if self.density is None:
            return standard
        labels = labels.to(self.device)
        top = drawn(self.density, self.spread, labels, seeds, self.top_dim)
        return torch.cat([top, standard[:, self.top_dim :]], dim=1)

    def decode(self, z: Tensor, class_weights: Tensor) -> Tensor:
        return self.likelihood.mean(of_mixed_classes(self.generator, z, class_weights))


# The sampler of a VQ-VAE: codes drawn one position after another, then decoded.


class CodeSampler(Sampler):
    """Ancestral sampling from a prior over codes (van den Oord et al. 2017, section 3.3)."""

    temperature = 1.0

    def __init__(self, decoder: VQDecoder, codebook: Codebook, prior: CodeTransformer) -> None:
        super().__init__(decoder.image)
        self.decoder, self.codebook, self.prior = decoder, codebook, prior

    def set_latents(self, *, temperature: float | None, truncation: float | None) -> None:
        """``temperature`` divides the prior's logits. Codes have no standard deviation, so there is
        nothing to truncate."""
        if truncation is not None:
            raise SynthgenError(
                "The latents of a VQ-VAE are codes, so truncation means nothing to it.\n"
                "Set temperature below 1 instead."
            )
        self.temperature = Spread(temperature).temperature or 1.0

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        codes = self.draw_codes(labels, seeds)
        return to_levels(self.decoder(self.codebook.lookup(codes)), self.image.bits)

    def draw_codes(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """int64 ``(N,)`` both -> int64 ``(N, *grid)``; each image has its own random numbers."""
        codes = draw_codes(self.prior, labels, seeds, self.temperature)
        return codes.view(-1, *self.decoder.grid)


def draw_codes(
    prior: CodeTransformer, labels: Tensor, seeds: Tensor, temperature: float = 1.0
) -> Tensor:
    """int64 ``(N,)`` both -> int64 codes ``(N, T)``; each image has its own random numbers."""
    device = prior.places.device
    drawn = np.stack([image_rng(int(seed)).random(prior.positions) for seed in seeds])
    uniform = torch.from_numpy(drawn).float().to(device)
    labels, caches = labels.to(device), prior.empty_caches(len(labels))
    codes: list[Tensor] = []
    for position in range(prior.positions):
        before = codes[-1] if codes else None
        logits = prior.advance(before, labels, position, caches)
        edges = (logits / temperature).softmax(1).cumsum(1)
        reached = uniform[:, position : position + 1] * edges[:, -1:]
        codes.append((edges <= reached).sum(1).clamp_max(prior.num_codes - 1))
    return torch.stack(codes, dim=1)
