"""A second, small VAE over the latents of the first (Dai & Wipf 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.ranges import BatchSize, Few, Positive, Width
from synthgen.seeds import Stream, normal_latents, step_generator
from synthgen.vae.base import Placed, Posterior, log_normal
from synthgen.vae.densities.fitting import Standardizer, initialize, minimize

GAIN = 10.0  # log γ per unit of its parameter: Adam moves that by lr a step, too slowly


class SkipMLP(nn.Module):
    """Three hidden layers; the last layer sees the input again (Dai & Wipf 2019, app. E)."""

    def __init__(self, num_classes: int, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_classes, hidden)
        self.first = nn.Linear(inputs, hidden)
        self.second, self.third = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden + inputs, outputs)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        h = F.relu(self.first(x) + self.embedding(labels))
        h = F.relu(self.third(F.relu(self.second(h))))
        return self.last(torch.cat([h, x], dim=1))


class TwoStageDensity(Placed):
    """p(z | y) = ∫ N(z; f(u, y), γ² I) N(u; 0, I) du, with u as long as z: a VAE over latents whose
    aggregated posterior is closer to N(0, I) than the first one's (Dai & Wipf 2019, section 4).

    Args:
        hidden: units of the three hidden layers of encoder and decoder (published: 1024).
        epochs: over the encoded training images; the best one on a held-out tenth is kept.
    """

    def __init__(
        self,
        num_classes: int,
        z_dim: int,
        hidden: Width = 256,
        epochs: Few = 15,
        batch_size: BatchSize = 256,
        lr: Positive = 1e-3,
    ) -> None:
        super().__init__()
        if min(hidden, epochs, batch_size) < 1:
            raise ValueError("hidden, epochs and batch_size must be at least 1")
        self.z_dim, self.epochs, self.batch_size, self.lr = z_dim, epochs, batch_size, lr
        self.standardizer = Standardizer(z_dim)
        self.encoder = SkipMLP(num_classes, z_dim, 2 * z_dim, hidden)
        self.decoder = SkipMLP(num_classes, z_dim, z_dim, hidden)
        self.raw_log_gamma = nn.Parameter(torch.zeros(()))

    def fit(self, latents: Tensor, labels: Tensor, seed: int, groups: Tensor | None = None) -> None:
        """Maximise the ELBO of float32 ``(N, Z)`` latents given int64 ``(N,)`` labels."""
        initialize(self, step_generator(seed, Stream.FIT, 2))
        nn.init.zeros_(self.raw_log_gamma)
        self.standardizer.fit(latents)
        device = self.raw_log_gamma.device
        minimize(
            self,
            self.negative_elbo,
            latents.to(device),
            labels.to(device),
            seed=seed,
            groups=groups,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            description="Fitting the second stage to latents",
        )

    @property
    def log_gamma(self) -> Tensor:
        """Of the spread around the second decoder's output, in standardized units, a scalar."""
        return GAIN * self.raw_log_gamma

    def negative_elbo(self, z: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
        """Nats per dimension of z (standardized), a scalar."""
        z = self.standardizer(z)
        posterior = Posterior(*self.encoder(z, labels).chunk(2, dim=1))
        u = posterior.at(torch.randn(z.shape, generator=random).to(z.device))
        fit = log_normal(z, self.decoder(u, labels), 2 * self.log_gamma)
        mean, logvar = posterior.mean, posterior.logvar
        kl = 0.5 * (logvar.exp() + mean.square() - 1 - logvar)
        return (kl - fit).mean()

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        """As :meth:`sample`, from given standard normal numbers u, float32 ``(N, Z)``."""
        around = normal_latents(seeds, self.z_dim, Stream.AROUND).to(standard.device)
        z = self.decoder(standard, labels) + self.log_gamma.exp() * around
        return self.standardizer.inverse(z)
