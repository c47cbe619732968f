"""One-centred gradient penalties: the critic's slope is drawn towards one at certain points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from synthgen.gan.penalties.base import CriticStep, Inputs
from synthgen.ranges import Count
from synthgen.training.schedules import Weight


class GradientNorm(ABC):
    """(‖d D(x̂) / d x̂‖ - 1)² at points x̂ between or around the images."""

    grad_inputs: ClassVar[tuple[Inputs, ...]] = ()  # the points are neither real nor generated

    def __init__(self, weight: Weight, every: Count = 1) -> None:
        self.weight, self.every = weight, every

    @abstractmethod
    def points(self, step: CriticStep) -> Tensor:
        """float32 ``(N, C, H, W)``, detached; point i is seen with label i."""

    def __call__(self, step: CriticStep) -> Tensor:
        points = self.points(step).requires_grad_(True)
        total = step.critic(points, step.labels).sum()
        (slopes,) = torch.autograd.grad(total, points, create_graph=True)
        # vector_norm's derivative at zero is zero; a square root of a sum would give NaN there.
        return (torch.linalg.vector_norm(slopes.float().flatten(1), dim=1) - 1).square()
