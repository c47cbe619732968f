"""A masked autoregressive flow over latents (Papamakarios et al. 2017), given the class."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.ranges import BatchSize, Depth, Few, Positive, Width
from synthgen.seeds import Stream, step_generator
from synthgen.vae.base import LOG_TWO_PI, Placed
from synthgen.vae.densities.fitting import Standardizer, initialize, minimize

STEEPEST = 3.0  # log-scales stay within ± this, so that the inverse can't explode


class MaskedLinear(nn.Linear):
    """A linear layer some of whose weights are always 0."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class MADE(nn.Module):
    """Shift and log-scale of every dimension from the dimensions before it and the class (Germain
    et al. 2015, section 4; conditional: Papamakarios et al. 2017, section 3.4)."""

    def __init__(self, num_classes: int, z_dim: int, hidden: int) -> None:
        super().__init__()
        inputs = torch.arange(1, z_dim + 1)
        # Evenly over 1 … Z - 1, so that fewer units than dimensions still see the late ones.
        inner = torch.arange(hidden) * max(1, z_dim - 1) // hidden + 1
        outputs = inputs.repeat(2) - 1
        self.first = MaskedLinear(inner[:, None] >= inputs[None, :])
        self.second = MaskedLinear(inner[:, None] >= inner[None, :])
        self.last = MaskedLinear(outputs[:, None] >= inner[None, :])
        self.embedding = nn.Embedding(num_classes, 2 * hidden)
        self.direct = nn.Embedding(num_classes, 2 * z_dim)

    def forward(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:  # (N, Z) each
        early, late = self.embedding(labels).chunk(2, dim=1)
        h = F.relu(self.first(z) + early)
        h = F.relu(self.second(h) + late)
        shift, raw = (self.last(h) + self.direct(labels)).chunk(2, dim=1)
        return shift, STEEPEST * torch.tanh(raw / STEEPEST)


class MAFDensity(Placed):
    """A masked autoregressive flow from N(0, I), one for all classes with the class as a condition
    (Papamakarios et al. 2017, section 3.1): drawing takes one pass per dimension and layer.

    Args:
        layers: autoregressive layers; the order of dimensions is reversed after each.
        hidden: units of both hidden layers of each.
        epochs: over the encoded training images; the best one on a held-out tenth is kept.
    """

    def __init__(
        self,
        num_classes: int,
        z_dim: int,
        layers: Depth = 4,
        hidden: Width = 128,
        epochs: Few = 8,
        batch_size: BatchSize = 256,
        lr: Positive = 1e-3,
    ) -> None:
        super().__init__()
        if min(layers, hidden, epochs, batch_size) < 1:
            raise ValueError("layers, hidden, epochs and batch_size must be at least 1")
        self.z_dim, self.epochs, self.batch_size, self.lr = z_dim, epochs, batch_size, lr
        self.standardizer = Standardizer(z_dim)
        self.layers = nn.ModuleList(MADE(num_classes, z_dim, hidden) for _ in range(layers))

    def fit(self, latents: Tensor, labels: Tensor, seed: int, groups: Tensor | None = None) -> None:
        """Maximise the likelihood of float32 ``(N, Z)`` latents given int64 ``(N,)`` labels."""
        initialize(self, step_generator(seed, Stream.FIT, 2))
        for layer in self.layers:  # start as the identity
            made = cast(MADE, layer)
            nn.init.zeros_(made.last.weight)
            nn.init.zeros_(made.direct.weight)
        self.standardizer.fit(latents)
        minimize(
            self,
            lambda z, y, random: -self.log_prob(z, y).mean() / self.z_dim,
            latents.to(self.standardizer.mean.device),
            labels.to(self.standardizer.mean.device),
            seed=seed,
            groups=groups,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            description="Fitting a flow to latents",
        )

    def forward(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Latents ``(N, Z)`` -> normal numbers ``(N, Z)`` and log |det| of the map ``(N,)``."""
        u = self.standardizer(z)
        log_det = -self.standardizer.scale.log().sum().expand(len(z))
        for layer in self.layers:
            shift, log_scale = layer(u, labels)
            u = ((u - shift) * (-log_scale).exp()).flip(1)
            log_det = log_det - log_scale.sum(dim=1)
        return u, log_det

    def log_prob(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, Z)``, int64 ``(N,)`` -> nats ``(N,)``."""
        u, log_det = self(z, labels)
        return -0.5 * (u.square() + LOG_TWO_PI).sum(dim=1) + log_det

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        u = standard
        for layer in reversed(self.layers):
            u, z = u.flip(1), torch.zeros_like(u)
            for dimension in range(self.z_dim):  # each needs those before it
                shift, log_scale = layer(z, labels)
                value = u[:, dimension] * log_scale[:, dimension].exp() + shift[:, dimension]
                z = z.index_copy(1, torch.tensor([dimension], device=z.device), value[:, None])
            u = z
        return self.standardizer.inverse(u)
