"""Densities over latents that are fitted after training, per class (Ghosh et al. 2020, section 4):
what the encoder really produces, where the prior is only what it was asked to produce."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.errors import SynthgenError
from synthgen.processes import Processes
from synthgen.progress import track
from synthgen.ranges import BatchSize, Count, Depth, Few, Mixture, Positive, Width
from synthgen.samplers.statistical import estimate_mixture
from synthgen.seeds import Stream, image_rng, normal_latents, step_generator
from synthgen.types import whole_groups
from synthgen.vae.base import LOG_TWO_PI, Placed, Posterior, log_normal

# A Gaussian for each class that is there from the first step on.


class RunningGaussian(Placed):
    """A diagonal Gaussian for each class that follows the latents of the training steps: what
    previews are drawn from before a density is fitted."""

    means: Tensor
    squares: Tensor

    def __init__(self, num_classes: int, z_dim: int, keep: float = 0.9) -> None:
        super().__init__()
        self.z_dim, self.keep = z_dim, keep
        self.register_buffer("means", torch.zeros(num_classes, z_dim))
        self.register_buffer("squares", torch.ones(num_classes, z_dim))
        self.processes = Processes()  # those whose latents it follows

    @torch.no_grad()
    def observe(self, latents: Tensor, labels: Tensor) -> None:
        """float32 ``(N, Z)``, int64 ``(N,)`` of one step."""
        member = nn.functional.one_hot(labels, len(self.means)).to(latents.dtype)
        sums = [member.sum(dim=0)[:, None], member.T @ latents, member.T @ latents.square()]
        sizes = [1, self.z_dim, self.z_dim]
        found, means, squares = self.processes.total(torch.cat(sums, dim=1)).split(sizes, dim=1)
        count, share = found.clamp_min(1), (1 - self.keep) * (found > 0).to(latents.dtype)
        self.means.lerp_(means / count, share)
        self.squares.lerp_(squares / count, share)

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        variance = (self.squares - self.means.square()).clamp_min(1e-8)
        return self.means[labels] + standard * variance[labels].sqrt()


# Fitting a small network to latents, the same way for every density that is one.


BatchLoss = Callable[[Tensor, Tensor, torch.Generator], Tensor]


class Standardizer(nn.Module):
    """Brings every dimension to mean 0 and standard deviation 1 (of all classes together)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, z_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(z_dim))
        self.register_buffer("scale", torch.ones(z_dim))

    def fit(self, latents: Tensor) -> None:
        self.mean.copy_(latents.mean(dim=0))
        self.scale.copy_(latents.std(dim=0, correction=0).clamp_min(1e-6))

    def forward(self, z: Tensor) -> Tensor:
        return (z - self.mean) / self.scale

    def inverse(self, z: Tensor) -> Tensor:
        return z * self.scale + self.mean


def initialize(module: nn.Module, random: torch.Generator) -> None:
    """Weights of linear layers and embeddings from N(0, 1/fan-in) and N(0, 1), biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            drawn = torch.randn(layer.weight.shape, generator=random)
            layer.weight.data.copy_(drawn / math.sqrt(layer.in_features))
            layer.bias.data.zero_()
        elif isinstance(layer, nn.Embedding):
            layer.weight.data.copy_(torch.randn(layer.weight.shape, generator=random))


def minimize(
    network: nn.Module,
    loss: BatchLoss,
    latents: Tensor,
    labels: Tensor,
    *,
    seed: int,
    epochs: int,
    batch_size: int,
    lr: float,
    description: str,
    groups: Tensor | None = None,
) -> None:
    """Train ``network`` with Adam and a cosine-annealed learning rate; keep the weights of the
    epoch that was best on a tenth of the latents that it isn't trained on.

    Args:
        loss: a mean over rows, from latents ``(B, Z)``, labels ``(B,)`` and a generator.
        groups: int64 ``(N,)``; latents of one group are held out together.
    """
    if len(latents) < 20:
        raise SynthgenError(
            f"{description}: {len(latents)} latents are too few.\n"
            "Use vae/density@model.density=gaussian_mixture for small data."
        )
    network.requires_grad_(True)  # an earlier fit ended with False
    random = step_generator(seed, Stream.FIT)
    used, held = (part.to(latents.device) for part in parted(labels.cpu(), groups, random))
    if not len(held):
        raise SynthgenError(
            f"{description}: all latents belong to one group, so that none can be held out.\n"
            "Use vae/density@model.density=gaussian_mixture."
        )
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    steps = epochs * math.ceil(len(used) / batch_size)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, kept = math.inf, copy.deepcopy(network.state_dict())
    with track(epochs * len(used), description, "latents") as advance:
        for _ in range(epochs):
            network.train()
            shuffled = used[torch.randperm(len(used), generator=random).to(used.device)]
            for rows in shuffled.split(batch_size):
                optimizer.zero_grad(set_to_none=True)
                loss(latents[rows], labels[rows], random).backward()
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimizer.step()
                annealing.step()
                advance(len(rows))
            network.eval()
            with torch.no_grad():
                fixed = step_generator(seed, Stream.FIT, 1)
                value = float(loss(latents[held], labels[held], fixed))
            if value < best:
                best, kept = value, copy.deepcopy(network.state_dict())
    if not math.isfinite(best):
        raise SynthgenError(
            f"{description}: the loss never was finite.\n"
            "Use vae/density@model.density=gaussian_mixture, or a smaller model.density.lr."
        )
    network.load_state_dict(kept)
    network.requires_grad_(False).eval()


class LearnedDensity(Placed):
    """A small network as a density; ``epochs``, ``batch_size`` and ``lr`` are of :func:`minimize`,
    latents are brought to one scale by ``standardizer``."""

    def __init__(self, z_dim: int, epochs: int, batch_size: int, lr: float) -> None:
        super().__init__()
        if min(epochs, batch_size) < 1:
            raise ValueError("epochs and batch_size must be at least 1")
        self.z_dim, self.epochs, self.batch_size, self.lr = z_dim, epochs, batch_size, lr
        self.standardizer = Standardizer(z_dim)

    def learn(
        self,
        loss: BatchLoss,
        latents: Tensor,
        labels: Tensor,
        seed: int,
        groups: Tensor | None,
        description: str,
    ) -> None:
        """Fit the standardizer, then minimise ``loss``."""
        self.standardizer.fit(latents)
        device = self.standardizer.mean.device
        minimize(
            self,
            loss,
            latents.to(device),
            labels.to(device),
            seed=seed,
            groups=groups,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            description=description,
        )


def parted(labels: Tensor, groups: Tensor | None, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Positions to train on, and a tenth to choose the epoch by; no group on both sides."""
    if groups is None:
        order = torch.randperm(len(labels), generator=random)
        return order[len(order) // 10 :], order[: len(order) // 10]
    held = whole_groups(labels, groups.cpu(), 0.1, random)
    return (~held).nonzero().flatten(), held.nonzero().flatten()


# A mixture of Gaussians per class, estimated from latents by scikit-learn.


BELOW_ONE = 1 - 2.0**-24  # float32's next


class GaussianMixtureDensity(Placed):
    """A Gaussian mixture with full covariances for each class (Ghosh et al. 2020, section 4).

    Args:
        components: mixture components per class at most; a class gets one per ``min_images``
            images, and at least one.
        regularization: added to the diagonal of the covariances.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(
        self,
        num_classes: int,
        z_dim: int,
        components: Mixture = 10,
        min_images: Count = 100,
        regularization: Positive = 1e-4,
    ) -> None:
        super().__init__()
        self.components, self.min_images = components, min_images
        self.z_dim, self.regularization = z_dim, regularization
        shape = (num_classes, components)
        self.register_buffer("weights", torch.zeros(*shape))
        self.register_buffer("means", torch.zeros(*shape, z_dim))
        self.register_buffer("factors", torch.zeros(*shape, z_dim, z_dim))

    def fit(self, latents: Tensor, labels: Tensor, seed: int, groups: Tensor | None = None) -> None:
        """Estimate from float32 ``(N, Z)`` latents of the training images (scikit-learn).

        Raises:
            SynthgenError: a class has no latents.
        """
        for label in range(len(self.weights)):
            mine = latents[labels == label].double().cpu().numpy()
            if len(mine) == 0:
                raise SynthgenError(
                    f"Class {label} has no training images to fit its latents to.\n"
                    "Add images to it or leave the class out."
                )
            count = max(1, min(self.components, len(mine) // self.min_images))
            mixture = estimate_mixture(mine, count, seed, self.regularization)
            self.weights[label].zero_()
            for buffer, found in zip(
                (self.weights, self.means, self.factors), mixture, strict=True
            ):
                buffer[label, :count] = found

    def log_prob(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, Z)``, int64 ``(N,)`` -> nats ``(N,)``."""
        found = torch.empty(len(z), device=z.device)
        for label in labels.unique():
            rows, used = labels == label, self.weights[label] > 0
            components = torch.distributions.MultivariateNormal(
                self.means[label, used], scale_tril=self.factors[label, used]
            )
            each = components.log_prob(z[rows, None, :])
            found[rows] = (each + self.weights[label, used].log()).logsumexp(dim=1)
        return found

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        uniform = torch.tensor([image_rng(int(seed), Stream.COMPONENT).random() for seed in seeds])
        uniform = uniform.clamp_max(BELOW_ONE)  # 1 would choose a component without weight
        device = self.means.device
        edges = self.weights[labels].cumsum(dim=1)
        edges = edges / edges[:, -1:]
        chosen = torch.searchsorted(edges, uniform.to(device, edges.dtype)[:, None], right=True)
        chosen = chosen.squeeze(1).clamp_max(self.components - 1)
        # A sum over a product, not a batched matmul: each row's arithmetic stays its own.
        offset = (self.factors[labels, chosen] * standard[:, None, :]).sum(dim=2)
        return self.means[labels, chosen] + offset


# A masked autoregressive flow over latents (Papamakarios et al. 2017), given the class.


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


class MAFDensity(LearnedDensity):
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
        super().__init__(z_dim, epochs, batch_size, lr)
        if min(layers, hidden) < 1:
            raise ValueError("layers and hidden must be at least 1")
        self.layers = nn.ModuleList(MADE(num_classes, z_dim, hidden) for _ in range(layers))

    def fit(self, latents: Tensor, labels: Tensor, seed: int, groups: Tensor | None = None) -> None:
        """Maximise the likelihood of float32 ``(N, Z)`` latents given int64 ``(N,)`` labels."""
        initialize(self, step_generator(seed, Stream.FIT, 2))
        for layer in self.layers:  # start as the identity
            made = cast(MADE, layer)
            nn.init.zeros_(made.last.weight)
            nn.init.zeros_(made.direct.weight)

        def loss(z: Tensor, y: Tensor, random: torch.Generator) -> Tensor:
            return -self.log_prob(z, y).mean() / self.z_dim

        self.learn(loss, latents, labels, seed, groups, "Fitting a flow to latents")

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


# A second, small VAE over the latents of the first (Dai & Wipf 2019).


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


class TwoStageDensity(LearnedDensity):
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
        super().__init__(z_dim, epochs, batch_size, lr)
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        self.encoder = SkipMLP(num_classes, z_dim, 2 * z_dim, hidden)
        self.decoder = SkipMLP(num_classes, z_dim, z_dim, hidden)
        self.raw_log_gamma = nn.Parameter(torch.zeros(()))

    def fit(self, latents: Tensor, labels: Tensor, seed: int, groups: Tensor | None = None) -> None:
        """Maximise the ELBO of float32 ``(N, Z)`` latents given int64 ``(N,)`` labels."""
        initialize(self, step_generator(seed, Stream.FIT, 2))
        nn.init.zeros_(self.raw_log_gamma)
        title = "Fitting the second stage to latents"
        self.learn(self.negative_elbo, latents, labels, seed, groups, title)

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
