"""The LeCam regularizer for little data (Tseng et al. 2021, eqs. 4 and 5)."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.gan.penalties.base import CriticStep, Inputs
from synthgen.ranges import Count, Decay
from synthgen.training.schedules import Weight


class LeCam(nn.Module):
    """[D(x) - mean D(fake)]₊² + [mean D(real) - D(G(z))]₊², with moving averages in place of the
    means (Tseng et al. 2021, eqs. 4 and 5; one-sided as in the authors' code, weight 0.3): logits
    are held near what the other side gets, so that few images aren't learned by heart.

    Args:
        decay: of the moving averages per step; at first they are plain means.
    """

    real_average: Tensor
    fake_average: Tensor
    steps: Tensor
    grad_inputs: ClassVar[tuple[Inputs, ...]] = ()

    def __init__(self, weight: Weight, every: Count = 1, decay: Decay = 0.99) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.weight, self.every, self.decay = weight, every, decay
        for name in ("real_average", "fake_average", "steps"):
            self.register_buffer(name, torch.zeros(()))

    def forward(self, step: CriticStep) -> Tensor:
        self._observe(step.real_logits.detach().mean(), step.fake_logits.detach().mean())
        above = F.relu(step.real_logits - self.fake_average)
        below = F.relu(self.real_average - step.fake_logits)
        return above.square() + below.square()

    @torch.no_grad()
    def _observe(self, real: Tensor, fake: Tensor) -> None:
        self.steps += 1
        share = torch.clamp_min(1 / self.steps, 1 - self.decay)
        self.real_average.lerp_(real, share)
        self.fake_average.lerp_(fake, share)
