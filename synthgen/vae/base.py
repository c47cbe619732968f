"""What a VAE is made of: priors, likelihoods, densities fitted after training, the posterior,
and the latents of the training images."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from synthgen.images import to_float
from synthgen.networks.base import Encoder, Generator
from synthgen.samplers.neural import LatentDensity, Likelihood
from synthgen.seeds import Stream, normal_latents, step_generator
from synthgen.serialization import Rebuildable
from synthgen.types import ImageSpec, LabelledImages

LOG_TWO_PI = math.log(2 * math.pi)


def log_normal(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mean, exp logvar) in nats, elementwise."""
    return -0.5 * (LOG_TWO_PI + logvar + (z - mean).square() * (-logvar).exp())


@dataclass(frozen=True)
class Posterior:
    """q(z | x, y), a diagonal Gaussian; both tensors float32 ``(N, Z)``."""

    mean: Tensor
    logvar: Tensor

    def at(self, standard: Tensor) -> Tensor:
        """Draws, from standard normal numbers ``(..., N, Z)``."""
        return self.mean + standard * (0.5 * self.logvar).exp()

    def log_prob(self, z: Tensor) -> Tensor:
        """``(..., N, Z)`` -> nats ``(..., N)``."""
        return log_normal(z, self.mean, self.logvar).sum(dim=-1)

    def detached(self) -> Posterior:
        return Posterior(self.mean.detach(), self.logvar.detach())


class Placed(nn.Module, Rebuildable):
    """A density over latents of length ``z_dim`` that turns standard normal numbers into them."""

    z_dim: int

    def sample(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """int64 ``(N,)`` labels and seeds -> float32 ``(N, Z)``."""
        device = next(chain(self.parameters(), self.buffers())).device
        return self.place(labels, seeds, normal_latents(seeds, self.z_dim).to(device))

    @abstractmethod
    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        """As :meth:`sample`, from given standard normal numbers, float32 ``(N, Z)``."""


class Prior(LatentDensity, Protocol):
    """p(z | y), a module."""

    def log_prob(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(..., N, Z)``, int64 ``(N,)`` -> nats ``(..., N)``."""
        ...


@runtime_checkable
class ClosedFormPrior(Prior, Protocol):
    """A prior whose KL divergence needs no draws and is a sum over dimensions."""

    def kl(self, mean: Tensor, logvar: Tensor, labels: Tensor) -> Tensor:
        """KL(q ‖ p) in nats per latent dimension, float32 ``(N, Z)``."""
        ...


@runtime_checkable
class EncodedPrior(Prior, Protocol):
    """A prior that is made of posteriors, so that it needs the encoder."""

    def use(self, encoder: Encoder) -> None: ...

    def frozen(self) -> LatentDensity:
        """The same density without the encoder, for a sampler."""
        ...


class PixelLikelihood(Likelihood, Protocol):
    """p(x | z, y), a module."""

    def out_channels(self, image: ImageSpec) -> int:
        """Numbers per pixel that the decoder has to give."""
        ...

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 ``(N, out_channels, H, W)`` and ``(N, C, H, W)``, images in [-1, 1] -> nats per
        image ``(N,)``."""
        ...


class FittedDensity(LatentDensity, Protocol):
    """A density over latents, a module that is estimated after training."""

    def fit(self, latents: Tensor, labels: Tensor, seed: int, groups: Tensor | None = None) -> None:
        """float32 ``(N, Z)``, int64 ``(N,)``; ``groups`` (int64 ``(N,)``) belong together wherever
        latents are held out."""
        ...


class Networks(nn.Module):
    """The four parts of a VAE, trained and averaged together."""

    def __init__(
        self, encoder: Encoder, decoder: Generator, prior: Prior, likelihood: PixelLikelihood
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.prior, self.likelihood = prior, likelihood
        if isinstance(prior, EncodedPrior):
            prior.use(encoder)

    def posterior(self, images: Tensor, labels: Tensor) -> Posterior:
        return Posterior(*self.encoder(images, labels))

    def sampling_density(self) -> LatentDensity:
        """The prior, without an encoder."""
        return self.prior.frozen() if isinstance(self.prior, EncodedPrior) else self.prior


# The latents of the training images, to which a density is fitted when training ends.


Encode = Callable[[Tensor, Tensor, Tensor], Tensor]


@torch.no_grad()
def encoded(
    encode: Encode,
    real: LabelledImages,
    *,
    z_dim: int,
    seed: int,
    device: torch.device,
    batch_size: int = 512,
) -> Tensor:
    """Latents of every image, float32 ``(N, Z)`` on the CPU. ``encode`` sees images in [-1, 1],
    labels and standard normal numbers: latents are drawn as in training, since their spread is part
    of what the decoder has learned to expect."""
    drawn = []
    for start in range(0, len(real), batch_size):
        images = to_float(real.images[start : start + batch_size].to(device))
        labels = real.labels[start : start + batch_size].to(device)
        generator = step_generator(seed, Stream.ENCODED, start)
        standard = torch.randn(len(images), z_dim, generator=generator).to(device)
        drawn.append(encode(images, labels, standard).cpu())
    return torch.cat(drawn)
