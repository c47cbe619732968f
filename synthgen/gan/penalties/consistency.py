"""Consistency regularization (Zhang et al. 2020, eq. 3)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from synthgen.gan.augmentations.base import Augmentation
from synthgen.gan.penalties.base import CriticStep, Inputs
from synthgen.ranges import Count
from synthgen.training.schedules import Weight


class Consistency(nn.Module):
    """(D(x) - D(T(x)))² on real images x and augmented copies T(x); the paper's weight is 10 (CR;
    Zhang et al. 2020, eq. 3, on the logits).

    Args:
        augmentation: T, small changes that should not matter: shifts, and flips where the class
            allows them. The GAN's own augmentation, if any, comes on top.
    """

    grad_inputs: ClassVar[tuple[Inputs, ...]] = ()

    def __init__(self, weight: Weight, augmentation: Augmentation, every: Count = 1) -> None:
        super().__init__()
        self.weight, self.augmentation, self.every = weight, augmentation, every

    def forward(self, step: CriticStep) -> Tensor:
        augmented = self.augmentation(step.real.detach(), step.random)
        return (step.real_logits - step.critic(augmented, step.labels)).square()
