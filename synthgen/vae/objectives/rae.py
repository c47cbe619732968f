"""A deterministic autoencoder that is regularised instead of disturbed."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from synthgen.networks.base import Generator
from synthgen.ranges import NonNegative
from synthgen.vae.base import Posterior
from synthgen.vae.objectives.base import Loss, VAEStep


class DecoderPenalty(Protocol):
    """Keeps the decoder smooth, which noise does in a VAE."""

    def __call__(self, step: VAEStep, z: Tensor, outputs: Tensor) -> Tensor:
        """Latents ``(N, Z)`` and the decoder's outputs ``(N, C, H, W)`` -> a scalar."""
        ...


class WeightDecay:
    """The squared length of the decoder's weights (Ghosh et al. 2020, section 3.1, "Tikhonov").

    Args:
        weight: nats per unit.
    """

    def __init__(self, weight: NonNegative) -> None:
        self.weight = weight

    def __call__(self, step: VAEStep, z: Tensor, outputs: Tensor) -> Tensor:
        decoder: Generator = step.networks.decoder
        lengths = torch.stack([p.square().sum() for p in decoder.parameters()])
        return self.weight * lengths.sum()


class LatentGradientPenalty:
    """|∂ outputs / ∂ z|² (Ghosh et al. 2020, section 3.1, "gradient penalty"), estimated without
    bias from one random projection of the outputs (Hutchinson 1990).

    Args:
        weight: nats per unit.
    """

    def __init__(self, weight: NonNegative) -> None:
        self.weight = weight

    def __call__(self, step: VAEStep, z: Tensor, outputs: Tensor) -> Tensor:
        probe = torch.randn(outputs.shape, generator=step.random).to(outputs.device)
        (slope,) = torch.autograd.grad((outputs * probe).sum(), z, create_graph=True)
        return self.weight * slope.square().sum(dim=1).mean()


class RAE:
    """Reconstruction + β/2 |z|² + a penalty of the decoder, with z = the encoder's mean (Ghosh et
    al. 2020, eq. 11). It has no prior to draw from: a density must be fitted to its latents.

    Args:
        latent_weight: β.
        decoder_penalty: WeightDecay or LatentGradientPenalty; None leaves the decoder free.
    """

    needs_density = True

    def __init__(
        self, latent_weight: NonNegative, decoder_penalty: DecoderPenalty | None = None
    ) -> None:
        if latent_weight < 0:
            raise ValueError(f"latent_weight must be at least 0, got {latent_weight}")
        self.latent_weight, self.decoder_penalty = latent_weight, decoder_penalty

    def __call__(self, step: VAEStep) -> Loss:
        z = step.posterior.mean
        outputs = step.outputs(z[None])
        likelihood = step.networks.likelihood
        reconstruction = likelihood.negative_log_likelihood(outputs, step.images).mean()
        size = z.square().sum(dim=1).mean()
        value = reconstruction + 0.5 * self.latent_weight * size
        parts = {"reconstruction": reconstruction, "latent_size": size}
        if self.decoder_penalty is not None:
            parts["decoder_penalty"] = self.decoder_penalty(step, z, outputs)
            value = value + parts["decoder_penalty"]
        return Loss(value, {name: part.detach() for name, part in parts.items()})

    def encode(self, posterior: Posterior, standard: Tensor) -> Tensor:
        return posterior.mean
