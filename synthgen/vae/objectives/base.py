"""What an objective sees, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from synthgen.vae.base import ClosedFormPrior, Networks, Posterior


@dataclass(frozen=True)
class VAEStep:
    """One batch and the networks, with everything that an objective may need of them."""

    images: Tensor  # float32 (N, C, H, W) in [-1, 1]
    labels: Tensor  # int64 (N,)
    networks: Networks
    progress: float  # of the run, from 0 to 1
    noise: Callable[[int, int], Tensor]  # (rows, columns) from N(0, I); the same at every call
    random: torch.Generator  # for further draws; a pure function of the run's seed and the step
    autocast: Callable[[], AbstractContextManager[object]]

    @cached_property
    def posterior(self) -> Posterior:
        with self.autocast():
            return self.networks.posterior(self.images, self.labels)

    def draw(self, count: int = 1) -> Tensor:
        """``count`` latents of every posterior, float32 ``(count, N, Z)``."""
        rows, size = self.posterior.mean.shape
        standard = self.noise(rows, count * size).view(rows, count, size).transpose(0, 1)
        return self.posterior.at(standard)

    def outputs(self, z: Tensor) -> Tensor:
        """The decoder's, float32: ``(K, N, Z)`` -> ``(K·N, out_channels, H, W)``."""
        with self.autocast():
            decoded = self.networks.decoder(z.flatten(0, 1), self.labels.repeat(len(z)))
        return decoded.float()

    def reconstruction(self, z: Tensor) -> Tensor:
        """-log p(x | z, y) in nats, ``(K, N, Z)`` -> ``(K, N)``."""
        images = self.images.repeat(len(z), 1, 1, 1) if len(z) > 1 else self.images
        nats = self.networks.likelihood.negative_log_likelihood(self.outputs(z), images)
        return nats.view(z.shape[:2])

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z | y) in nats, ``(..., N, Z)`` -> ``(..., N)``."""
        with self.autocast():  # a prior may be made of the encoder
            return self.networks.prior.log_prob(z, self.labels)

    def kl(self, z: Tensor) -> Tensor:
        """KL(q ‖ p) in nats, to be summed over columns: ``(N, Z)`` in closed form where the prior
        has one, otherwise estimated from ``z`` ``(N, Z)`` as ``(N, 1)``."""
        prior, posterior = self.networks.prior, self.posterior
        if isinstance(prior, ClosedFormPrior):
            return prior.kl(posterior.mean, posterior.logvar, self.labels)
        return (posterior.log_prob(z) - self.log_prior(z))[:, None]


@dataclass(frozen=True)
class Loss:
    """What is minimised, a scalar in nats per image, and what is logged beside it."""

    value: Tensor
    parts: dict[str, Tensor]


class Objective(Protocol):
    """What a VAE's networks are trained for. It sees a step and returns a loss."""

    needs_density: bool  # True: latents follow no prior, only a density fitted later can be drawn

    def __call__(self, step: VAEStep) -> Loss: ...

    def encode(self, posterior: Posterior, standard: Tensor) -> Tensor:
        """The latents that the decoder has learned to expect, ``(N, Z)``; a density is fitted to
        them after training. ``standard`` are standard normal numbers."""
        ...
