"""What an augmentation of the discriminator's images is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Augmentation(nn.Module, ABC):
    """Changes images in a way that gradients flow through (Zhao et al. 2020; Karras et al. 2020).

    It is applied to real and generated images in the steps of both networks, so the generator need
    not learn it. Whatever it keeps from step to step is a buffer, so that a run resumes with it.
    Penalties may take gradients of gradients through it.
    """

    @abstractmethod
    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        """float32 ``(N, C, H, W)`` in [-1, 1] -> the same; ``random`` is a CPU generator, so that
        what is drawn doesn't depend on the device."""

    def advance(self, progress: float) -> None:
        """Called before each discriminator step with the progress of the run, 0 to 1: for a
        strength that follows from it."""

    def observe(self, real_logits: Tensor, fake_logits: Tensor, images: int) -> None:
        """Called in each discriminator step with its logits, float32, one per image or per patch,
        and the number of real images that they are of: for a strength that follows from them."""


def uniform(images: Tensor, low: float, high: float, random: torch.Generator) -> Tensor:
    """A number per image from U(low, high), ``(N, 1, 1, 1)`` on the images' device."""
    drawn = torch.rand(len(images), 1, 1, 1, generator=random) * (high - low) + low
    return drawn.to(images.device, non_blocking=True)
