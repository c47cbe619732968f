"""The gradient penalty of DRAGAN (Kodali et al. 2017, eq. 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.gan.penalties.base import CriticStep
from synthgen.gan.penalties.gradient_norm import GradientNorm
from synthgen.ranges import Count, Positive
from synthgen.training.schedules import Weight


class DRAGAN(GradientNorm):
    """(‖d D(x̂) / d x̂‖ - 1)² around real images only; the paper's weight is 10 (Kodali et al. 2017,
    eq. 4 in algorithm 1).

    Args:
        spread: standard deviation of the Gaussian noise on each pixel, as a share of the standard
            deviation of all pixels of the batch; a half in the authors' code.
    """

    def __init__(self, weight: Weight, every: Count = 1, spread: Positive = 0.5) -> None:
        super().__init__(weight, every)
        if not spread > 0:
            raise ValueError(f"spread must be more than 0, got {spread}")
        self.spread = spread

    def points(self, step: CriticStep) -> Tensor:
        real = step.real.detach()
        noise = torch.randn(real.shape, generator=step.random).to(real.device)
        return real + self.spread * real.std() * noise
