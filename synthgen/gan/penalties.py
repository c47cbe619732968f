"""Penalties on the discriminator: each sees one CriticStep and returns one value per image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.gan.augmentations.base import Augmentation
from synthgen.processes import ALONE, Processes
from synthgen.ranges import Count, Decay, Positive
from synthgen.seeds import BatchGenerator
from synthgen.training.schedules import Schedule, Weight

# What a penalty sees, and what it is.

Inputs = Literal["real", "fake"]


@dataclass(frozen=True)
class CriticStep:
    """The tensors of one discriminator step, computed once and shared by loss and penalties.

    Attributes:
        real: float32 ``(N, C, H, W)`` in [-1, 1].
        fake: the same, detached from the generator.
        real_logits: float32 ``(N,)``, as ``fake_logits``; ``(N · patches,)`` of a discriminator of
            patches.
        labels: int64 ``(N,)``, those of ``real[i]`` and of ``fake[i]``.
        critic: images and labels to float32 logits ``(N,)``, for further ones.
        random: a pure function of the run's seed and the step; its own ``rand``, ``randn`` and
            ``randint`` draw for the rows of all processes.
        processes: those that train together. All tensors here are this process's N rows of the
            batch; a value that looks at other rows asks for them, ``processes.gather(rows)``.
    """

    real: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    labels: Tensor
    critic: Callable[[Tensor, Tensor], Tensor]
    random: BatchGenerator
    processes: Processes = ALONE

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
    regularization).

    Attributes:
        weight: by progress of the run.
        every: discriminator steps from one to the next, at least 1.
        grad_inputs: "real", "fake" or both: images whose gradient it needs.
    """

    weight: Schedule
    every: int
    grad_inputs: Sequence[Inputs]

    def __call__(self, step: CriticStep) -> Tensor:
        """A value per image or per logit, float32, before weighting."""
        ...


class R1:
    """½ ‖d D(x) / d x‖² on real images.

    Zero-centred gradient penalties (Mescheder et al. 2018, eqs. 9 and 10).
    """

    grad_inputs: ClassVar[tuple[Inputs, ...]] = ("real",)

    def __init__(self, weight: Weight, every: Count = 1) -> None:
        self.weight, self.every = weight, every

    def __call__(self, step: CriticStep) -> Tensor:
        return step.gradients["real"].square().sum(dim=(1, 2, 3)) / 2


class R2:
    """½ ‖d D(x) / d x‖² on generated images.

    Zero-centred gradient penalties (Mescheder et al. 2018, eqs. 9 and 10).
    """

    grad_inputs: ClassVar[tuple[Inputs, ...]] = ("fake",)

    def __init__(self, weight: Weight, every: Count = 1) -> None:
        self.weight, self.every = weight, every

    def __call__(self, step: CriticStep) -> Tensor:
        return step.gradients["fake"].square().sum(dim=(1, 2, 3)) / 2


# One-centred gradient penalties: the critic's slope is drawn towards one at certain points.


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


class WGANGP(GradientNorm):
    """(‖d D(x̂) / d x̂‖ - 1)² on lines between a real and a generated image of the same class; the
    paper's weight is 10 (Gulrajani et al. 2017, eq. 3).

    The gradient penalty of WGAN-GP (Gulrajani et al. 2017, eq. 3).
    """

    def points(self, step: CriticStep) -> Tensor:
        share = step.random.rand(len(step.real), 1, 1, 1).to(step.real.device)
        return torch.lerp(step.fake.detach(), step.real.detach(), share)


class DRAGAN(GradientNorm):
    """(‖d D(x̂) / d x̂‖ - 1)² around real images only; the paper's weight is 10 (Kodali et al. 2017,
    eq. 4 in algorithm 1).

    Args:
        spread: standard deviation of the Gaussian noise on each pixel, as a share of the standard
            deviation of all pixels of the batch; a half in the authors' code.

    The gradient penalty of DRAGAN (Kodali et al. 2017, eq. 4).
    """

    def __init__(self, weight: Weight, every: Count = 1, spread: Positive = 0.5) -> None:
        super().__init__(weight, every)
        if not spread > 0:
            raise ValueError(f"spread must be more than 0, got {spread}")
        self.spread = spread

    def points(self, step: CriticStep) -> Tensor:
        real = step.real.detach()
        noise = step.random.randn(*real.shape).to(real.device)
        return real + self.spread * step.processes.gather(real).std() * noise


class Consistency(nn.Module):
    """(D(x) - D(T(x)))² on real images x and augmented copies T(x); the paper's weight is 10 (CR;
    Zhang et al. 2020, eq. 3, on the logits).

    Args:
        augmentation: T, small changes that should not matter: shifts, and flips where the class
            allows them. The GAN's own augmentation, if any, comes on top.

    Consistency regularization (Zhang et al. 2020, eq. 3).
    """

    grad_inputs: ClassVar[tuple[Inputs, ...]] = ()

    def __init__(self, weight: Weight, augmentation: Augmentation, every: Count = 1) -> None:
        super().__init__()
        self.weight, self.augmentation, self.every = weight, augmentation, every

    def forward(self, step: CriticStep) -> Tensor:
        augmented = self.augmentation(step.real.detach(), step.random)
        return (step.real_logits - step.critic(augmented, step.labels)).square()


class LeCam(nn.Module):
    """[D(x) - mean D(fake)]₊² + [mean D(real) - D(G(z))]₊², with moving averages in place of the
    means (Tseng et al. 2021, eqs. 4 and 5; one-sided as in the authors' code, weight 0.3): logits
    are held near what the other side gets, so that few images aren't learned by heart.

    Args:
        decay: of the moving averages per step; at first they are plain means.

    The LeCam regularizer for little data (Tseng et al. 2021, eqs. 4 and 5).
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
        means = torch.stack([step.real_logits.detach().mean(), step.fake_logits.detach().mean()])
        self._observe(*step.processes.mean(means))
        above = F.relu(step.real_logits - self.fake_average)
        below = F.relu(self.real_average - step.fake_logits)
        return above.square() + below.square()

    @torch.no_grad()
    def _observe(self, real: Tensor, fake: Tensor) -> None:
        self.steps += 1
        share = torch.clamp_min(1 / self.steps, 1 - self.decay)
        self.real_average.lerp_(real, share)
        self.fake_average.lerp_(fake, share)
