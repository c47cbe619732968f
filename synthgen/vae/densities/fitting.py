"""Densities that are there from the first step on, and the fitting of small networks to latents."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from synthgen.errors import SynthgenError
from synthgen.progress import track
from synthgen.seeds import Stream, step_generator
from synthgen.types import whole_groups
from synthgen.vae.base import Placed

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

    @torch.no_grad()
    def observe(self, latents: Tensor, labels: Tensor) -> None:
        """float32 ``(N, Z)``, int64 ``(N,)`` of one step."""
        member = nn.functional.one_hot(labels, len(self.means)).to(latents.dtype)
        count = member.sum(dim=0).clamp_min(1)[:, None]
        share = (1 - self.keep) * (member.sum(dim=0) > 0).to(latents.dtype)[:, None]
        self.means.lerp_(member.T @ latents / count, share)
        self.squares.lerp_(member.T @ latents.square() / count, share)

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


def parted(labels: Tensor, groups: Tensor | None, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Positions to train on, and a tenth to choose the epoch by; no group on both sides."""
    if groups is None:
        order = torch.randperm(len(labels), generator=random)
        return order[len(order) // 10 :], order[: len(order) // 10]
    held = whole_groups(labels, groups.cpu(), 0.1, random)
    return (~held).nonzero().flatten(), held.nonzero().flatten()
