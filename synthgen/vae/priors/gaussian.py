"""A learned diagonal Gaussian over latents for each class (Sohn et al. 2015, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthgen.seeds import normal_latents
from synthgen.spec import Rebuildable
from synthgen.vae.base import log_normal


class ClassGaussianPrior(nn.Module, Rebuildable):
    """p(z | y) = N(μ_y, diag σ_y²) with learned means and variances, starting at N(0, I) (Sohn et
    al. 2015, section 4)."""

    def __init__(self, num_classes: int, z_dim: int) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.zeros(num_classes, z_dim))
        self.logvars = nn.Parameter(torch.zeros(num_classes, z_dim))

    def kl(self, mean: Tensor, logvar: Tensor, labels: Tensor) -> Tensor:
        """KL(N(mean, exp logvar) ‖ p(z | y)) per dimension, nats, ``(N, Z)``; closed form."""
        prior_mean, prior_logvar = self.means[labels], self.logvars[labels]
        ratio = (logvar - prior_logvar).exp()
        distance = (mean - prior_mean).square() * (-prior_logvar).exp()
        return 0.5 * (ratio + distance - 1 - (logvar - prior_logvar))

    def log_prob(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(..., N, Z)``, int64 ``(N,)`` -> nats ``(..., N)``."""
        return log_normal(z, self.means[labels], self.logvars[labels]).sum(dim=-1)

    def sample(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """int64 ``(N,)`` labels and seeds -> float32 ``(N, Z)``."""
        standard = normal_latents(seeds, self.means.shape[1]).to(self.means.device)
        return self.place(labels, seeds, standard)

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        """As :meth:`sample`, from given standard normal numbers, float32 ``(N, Z)``."""
        return self.means[labels] + standard * (0.5 * self.logvars[labels]).exp()
