"""What an augmentation of the discriminator's images is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Augmentation(nn.Module, ABC):
    """Changes images in a way that gradients flow through (Zhao et al. 2020; Karras et al. 2020).

    It is applied to real and generated images in the steps of both networks, so the generator need
    not learn it. Whatever it keeps from step to step is a buffer, so that a run resumes with it.
    """

    @abstractmethod
    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        """float32 ``(N, C, H, W)`` in [-1, 1] -> the same; ``random`` is a CPU generator."""

    def observe(self, real_logits: Tensor) -> None:
        """Called after each discriminator step with its logits of real images, float32 ``(N,)``,
        for a strength that follows from them."""
