"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017, eq. 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.gan.penalties.base import CriticStep
from synthgen.gan.penalties.gradient_norm import GradientNorm


class WGANGP(GradientNorm):
    """(‖d D(x̂) / d x̂‖ - 1)² on lines between a real and a generated image of the same class; the
    paper's weight is 10 (Gulrajani et al. 2017, eq. 3)."""

    def points(self, step: CriticStep) -> Tensor:
        share = torch.rand(len(step.real), 1, 1, 1, generator=step.random).to(step.real.device)
        return torch.lerp(step.fake.detach(), step.real.detach(), share)
