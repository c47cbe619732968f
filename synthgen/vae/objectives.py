"""What the networks of a VAE are trained for."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from synthgen.networks.base import Generator
from synthgen.processes import ALONE, Processes
from synthgen.ranges import Few, NonNegative
from synthgen.seeds import BatchGenerator
from synthgen.training.schedules import Weight
from synthgen.vae.base import ClosedFormPrior, Networks, Posterior

# What an objective sees, and what it is.


@dataclass(frozen=True)
class VAEStep:
    """One batch and the networks, with everything that an objective may need of them.

    Attributes:
        images: float32 ``(N, C, H, W)`` in [-1, 1].
        labels: int64 ``(N,)``.
        progress: of the run, from 0 to 1.
        noise: float32 (rows, columns) from N(0, I); the same at every call.
        random: for further draws; a pure function of the run's seed and the step. Its own ``rand``,
            ``randn`` and ``randint`` draw for the rows of all processes.
        processes: those that train together. All tensors here are this process's N rows of the
            batch; an objective that looks at other rows asks for them, ``processes.gather(rows)``.
    """

    images: Tensor
    labels: Tensor
    networks: Networks
    progress: float
    noise: Callable[[int, int], Tensor]
    random: BatchGenerator
    autocast: Callable[[], AbstractContextManager[object]]
    processes: Processes = ALONE

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
    """What is minimised, a scalar in nats per image, and what is logged beside it, scalars too."""

    value: Tensor
    parts: dict[str, Tensor]


class Objective(Protocol):
    """What a VAE's networks are trained for. It sees a step and returns a loss.

    Attributes:
        needs_density: latents follow no prior; only a density fitted later can be drawn from.
    """

    needs_density: bool

    def __call__(self, step: VAEStep) -> Loss: ...

    def encode(self, posterior: Posterior, standard: Tensor) -> Tensor:
        """The latents that the decoder has learned to expect, ``(N, Z)``; a density is fitted to
        them after training. ``standard`` are standard normal numbers."""
        ...


# The evidence lower bound, with a weight and a free amount of its KL term.


class ELBO:
    """E log p(x | z, y) - β KL(q(z | x, y) ‖ p(z | y)) (Kingma & Welling 2014, eq. 7; conditional:
    Sohn et al. 2015, eq. 4; with β: Higgins et al. 2017, eq. 4).

    Args:
        beta: weight of the KL term by progress of the run; 1 is the bound.
        free_bits: nats per latent dimension (averaged over the batch) below which the KL term
            exerts no force (Kingma et al. 2016, app. C.8).
    """

    needs_density = False

    def __init__(self, beta: Weight, free_bits: NonNegative = 0.0) -> None:
        if free_bits < 0:
            raise ValueError(f"free_bits must be at least 0, got {free_bits}")
        self.beta, self.free_bits = beta, free_bits

    def __call__(self, step: VAEStep) -> Loss:
        z = step.draw()
        reconstruction = step.reconstruction(z)[0]
        kl = step.kl(z[0])
        force = kl.mean(dim=0)
        if self.free_bits > 0:  # an estimated KL may lie below zero, and must not be clamped
            force = step.processes.mean(force)
            # An estimate is one column for all dimensions, and has the free nats of all.
            force = force.clamp_min(self.free_bits * z.shape[-1] / kl.shape[1])
        value = reconstruction.mean() + self.beta(step.progress) * force.sum()
        total = kl.sum(dim=1).mean().detach()
        return Loss(
            value,
            {
                "negative_elbo": reconstruction.mean().detach() + total,
                "reconstruction": reconstruction.mean().detach(),
                "kl": total,
            },
        )

    def encode(self, posterior: Posterior, standard: Tensor) -> Tensor:
        """Draws, not means: their spread is part of what the decoder has learned to expect."""
        return posterior.at(standard)


# The importance-weighted bound, tighter with every sample, and a better gradient of it.


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


# Posteriors that match the prior as a whole: InfoVAE, and with no KL term a Wasserstein AE.

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernel (Tolstikhin et al. 2018, app. D)


class InfoVAE:
    """Reconstruction + (1 - α) KL + (α + λ - 1) MMD(q(z | y), p(z | y)) (Zhao et al. 2019, eq. 6).
    With ``kl_weight=0`` WAE-MMD (Tolstikhin et al. 2018, alg. 2).

    Args:
        mmd_weight: α + λ - 1, nats per unit of the discrepancy.
        kl_weight: 1 - α.
    """

    needs_density = False

    def __init__(self, mmd_weight: NonNegative, kl_weight: NonNegative = 0.0) -> None:
        if mmd_weight < 0 or kl_weight < 0:
            raise ValueError(f"weights must not be negative, got {mmd_weight} and {kl_weight}")
        self.mmd_weight, self.kl_weight = mmd_weight, kl_weight

    def __call__(self, step: VAEStep) -> Loss:
        z = step.draw()
        reconstruction = step.reconstruction(z)[0].mean()
        seeds = step.random.randint(0, 2**62, len(z[0]))
        drawn = step.networks.prior.sample(step.labels, seeds)
        mmd = discrepancy(*(step.processes.gather(one) for one in (z[0], drawn, step.labels)))
        value = reconstruction + self.mmd_weight * mmd
        parts = {"reconstruction": reconstruction, "mmd": mmd}
        if self.kl_weight > 0:  # without it the KL may be infinite: posteriors shrink to points
            parts["kl"] = step.kl(z[0]).sum(dim=1).mean()
            value = value + self.kl_weight * parts["kl"]
        return Loss(value, {name: part.detach() for name, part in parts.items()})

    def encode(self, posterior: Posterior, standard: Tensor) -> Tensor:
        return posterior.at(standard)


def discrepancy(first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of two joint distributions of latents and labels, unbiased
    (Gretton et al. 2012, lemma 6): may be negative. The kernel is that of the latents where two
    labels are equal and 0 elsewhere, so every class is compared with its own prior. The value is
    the mean over pairs of one class, which doesn't shrink with the number of classes.

    float32 ``(N, Z)`` twice, row i of both of class ``labels[i]`` -> a scalar.
    """
    count = len(first)
    # Rows i of both are of one class by construction, so the mixed term leaves its diagonal out
    # too; that keeps the estimator unbiased given the labels.
    alike = (labels[:, None] == labels[None, :]) & ~torch.eye(
        count, dtype=torch.bool, device=labels.device
    )
    own = kernel(first, first) + kernel(second, second)
    mixed = kernel(first, second)
    return ((own - mixed - mixed.T) * alike).sum() / alike.sum().clamp_min(1)


def kernel(first: Tensor, second: Tensor) -> Tensor:
    """Σ over scales of c / (c + |z - z'|²) with c = 2 Z s (Tolstikhin et al. 2018, app. D),
    ``(N, Z)`` twice -> ``(N, N)``."""
    squares = first.square().sum(1)[:, None] + second.square().sum(1)[None, :]
    distances = (squares - 2 * first @ second.T).clamp_min(0)
    total = torch.zeros_like(distances)
    for scale in SCALES:
        constant = 2 * first.shape[1] * scale
        total = total + constant / (constant + distances)
    return total


# A deterministic autoencoder that is regularised instead of disturbed.


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
        probe = step.random.randn(*outputs.shape).to(outputs.device)
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
