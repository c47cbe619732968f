"""What a penalty sees, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import torch
from torch import Tensor

from synthgen.training.schedules import Schedule

Inputs = Literal["real", "fake"]


@dataclass(frozen=True)
class CriticStep:
    """The tensors of one discriminator step, computed once and shared by loss and penalties."""

    real: Tensor  # float32 (N, C, H, W) in [-1, 1]
    fake: Tensor  # the same, detached from the generator
    real_logits: Tensor  # float32 (N,); (N · patches,) of a discriminator of patches
    fake_logits: Tensor
    labels: Tensor  # int64 (N,), those of real[i] and of fake[i]
    critic: Callable[[Tensor, Tensor], Tensor]  # images and labels to float32 logits (N,), for more
    random: torch.Generator  # a pure function of the run's seed and the step

    @cached_property
    def gradients(self) -> dict[str, Tensor]:
        """d logits / d images, float32 ``(N, C, H, W)``, for those images that require it. One
        backward pass serves real and fake, with a graph, so that it can be trained through."""
        wanted = {
            name: images
            for name, images in (("real", self.real), ("fake", self.fake))
            if images.requires_grad
        }
        total = self.real_logits.sum() + self.fake_logits.sum()
        found = torch.autograd.grad(total, list(wanted.values()), create_graph=True)
        return {name: value.float() for name, value in zip(wanted, found, strict=True)}


class Penalty(Protocol):
    """A term added to the discriminator's loss every ``every`` steps, multiplied by ``every`` so
    that its average strength doesn't depend on that interval (Karras et al. 2020, lazy
    regularization)."""

    weight: Schedule
    every: int
    grad_inputs: Sequence[Inputs]  # images whose gradient it needs

    def __call__(self, step: CriticStep) -> Tensor:
        """A value per image or per logit, float32, before weighting."""
        ...
