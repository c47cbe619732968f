"""The evidence lower bound, with a weight and a free amount of its KL term."""

from __future__ import annotations

from torch import Tensor

from synthgen.ranges import NonNegative
from synthgen.training.schedules import Weight
from synthgen.vae.base import Posterior
from synthgen.vae.objectives.base import Loss, VAEStep


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
