"""The importance-weighted bound, tighter with every sample, and a better gradient of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from synthgen.ranges import Few
from synthgen.vae.base import Posterior
from synthgen.vae.objectives.base import Loss, VAEStep


class IWAE:
    """log 1/K Σ p(x, z_k | y) / q(z_k | x, y), a tighter bound of log p(x | y) than the ELBO (Burda
    et al. 2016, eq. 8).

    Args:
        samples: K, latents per image; the decoder's work grows with it.
    """

    needs_density = False

    def __init__(self, samples: Few = 5) -> None:
        if samples < 1:
            raise ValueError(f"samples must be at least 1, got {samples}")
        self.samples = samples

    def __call__(self, step: VAEStep) -> Loss:
        z = step.draw(self.samples)
        log_weights = self.log_weights(step, step.posterior, z)
        bound = log_weights.logsumexp(dim=0) - math.log(self.samples)
        return Loss(-bound.mean(), logged(bound, log_weights))

    def log_weights(self, step: VAEStep, posterior: Posterior, z: Tensor) -> Tensor:
        """log p(x, z | y) / q(z | x, y), ``(K, N, Z)`` -> ``(K, N)``."""
        return step.log_prior(z) - posterior.log_prob(z) - step.reconstruction(z)

    def encode(self, posterior: Posterior, standard: Tensor) -> Tensor:
        return posterior.at(standard)


class DoublyReparameterizedIWAE(IWAE):
    """The same bound; the encoder's gradient, whose signal vanishes beside its noise as K grows, is
    replaced by the doubly reparameterized one (Tucker et al. 2019, eq. 8)."""

    def __call__(self, step: VAEStep) -> Loss:
        z = step.draw(self.samples)
        log_weights = self.log_weights(step, step.posterior.detached(), z)
        bound = log_weights.detach().logsumexp(dim=0) - math.log(self.samples)
        weights = log_weights.detach().softmax(dim=0)  # (K, N)
        # The decoder is to feel w, the encoder (through z alone) w²; a hook adds the second factor.
        if z.requires_grad:
            z.register_hook(lambda gradient: gradient * weights[:, :, None])
        surrogate = (weights * log_weights).sum(dim=0).mean()
        # The value is the bound's, the gradient the surrogate's.
        value = -(surrogate + (bound.mean() - surrogate).detach())
        return Loss(value, logged(bound, log_weights))


def logged(bound: Tensor, log_weights: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        share = log_weights.softmax(dim=0)
        return {
            "negative_bound": -bound.mean().detach(),
            "negative_elbo": -log_weights.mean(),
            "effective_samples": (1 / share.square().sum(dim=0)).mean(),
        }
