"""Zero-centred gradient penalties (Mescheder et al. 2018, eqs. 9 and 10)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from synthgen.gan.penalties.base import CriticStep, Inputs
from synthgen.ranges import Count
from synthgen.training.schedules import Weight


class R1:
    """½ ‖d D(x) / d x‖² on real images."""

    grad_inputs: ClassVar[tuple[Inputs, ...]] = ("real",)

    def __init__(self, weight: Weight, every: Count = 1) -> None:
        self.weight, self.every = weight, every

    def __call__(self, step: CriticStep) -> Tensor:
        return step.gradients["real"].square().sum(dim=(1, 2, 3)) / 2


class R2:
    """½ ‖d D(x) / d x‖² on generated images."""

    grad_inputs: ClassVar[tuple[Inputs, ...]] = ("fake",)

    def __init__(self, weight: Weight, every: Count = 1) -> None:
        self.weight, self.every = weight, every

    def __call__(self, step: CriticStep) -> Tensor:
        return step.gradients["fake"].square().sum(dim=(1, 2, 3)) / 2
