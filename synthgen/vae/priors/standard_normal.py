"""The standard normal prior, the same for every class (Kingma & Welling 2014)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthgen.seeds import normal_latents
from synthgen.spec import Rebuildable
from synthgen.vae.base import log_normal


class StandardNormalPrior(nn.Module, Rebuildable):
    """p(z | y) = N(0, I) (Kingma & Welling 2014, section 3): only the decoder knows the class."""

    zero: Tensor

    def __init__(self, num_classes: int, z_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.register_buffer("zero", torch.zeros(()), persistent=False)  # knows the device

    def log_prob(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(..., N, Z)`` -> nats ``(..., N)``."""
        return log_normal(z, self.zero, self.zero).sum(dim=-1)

    def kl(self, mean: Tensor, logvar: Tensor, labels: Tensor) -> Tensor:
        """KL(N(mean, exp logvar) ‖ N(0, I)) per dimension, nats, ``(N, Z)``; closed form."""
        return 0.5 * (logvar.exp() + mean.square() - 1 - logvar)

    def sample(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """int64 ``(N,)`` labels and seeds -> float32 ``(N, Z)``."""
        return normal_latents(seeds, self.z_dim).to(self.zero.device)

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        """As :meth:`sample`, from given standard normal numbers, float32 ``(N, Z)``."""
        return standard
