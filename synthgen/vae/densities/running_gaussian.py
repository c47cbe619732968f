"""A Gaussian for each class that is there from the first step on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthgen.seeds import normal_latents
from synthgen.spec import Rebuildable


class RunningGaussian(nn.Module, Rebuildable):
    """A diagonal Gaussian for each class that follows the latents of the training steps: what
    previews are drawn from before a density is fitted."""

    means: Tensor
    squares: Tensor

    def __init__(self, num_classes: int, z_dim: int, keep: float = 0.9) -> None:
        super().__init__()
        self.keep = keep
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

    def sample(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """int64 ``(N,)`` labels and seeds -> float32 ``(N, Z)``."""
        standard = normal_latents(seeds, self.means.shape[1]).to(self.means.device)
        return self.place(labels, seeds, standard)

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        """As :meth:`sample`, from given standard normal numbers, float32 ``(N, Z)``."""
        variance = (self.squares - self.means.square()).clamp_min(1e-8)
        return self.means[labels] + standard * variance[labels].sqrt()
