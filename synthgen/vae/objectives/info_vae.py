"""Posteriors that match the prior as a whole: InfoVAE, and with no KL term a Wasserstein AE."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.ranges import NonNegative
from synthgen.vae.base import Posterior
from synthgen.vae.objectives.base import Loss, VAEStep

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
        seeds = torch.randint(2**62, (len(z[0]),), generator=step.random)
        drawn = step.networks.prior.sample(step.labels, seeds)
        mmd = discrepancy(z[0], drawn, step.labels)
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
