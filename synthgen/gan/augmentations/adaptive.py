"""Operations that each hit an image with probability p, fixed or led by the discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor

from synthgen.gan.augmentations.base import Augmentation
from synthgen.gan.augmentations.colour_maps import ColourOperation, apply_colours
from synthgen.gan.augmentations.geometric import GeometricOperation
from synthgen.gan.augmentations.signals import OverfittingSignal
from synthgen.gan.augmentations.warp import warp
from synthgen.ranges import Count, Share

Operations = Mapping[str, GeometricOperation | ColourOperation | None]
LEAKS_ABOVE = 0.8


class FixedAugment(Augmentation):
    """Each operation hits each image with a fixed probability (Karras et al. 2020, section 2.2).

    The generator is not taught to imitate what is done to an image as long as enough images are
    left alone: with p up to 0.8 that is so, above it augmentations leak into the images (section
    2.2 and figure 3).

    Args:
        operations: by name, in order, geometric ones before colours; None switches one off.
        probability: p, of each operation.
    """

    def __init__(self, operations: Operations, probability: Share = 0.2) -> None:
        super().__init__()
        if not 0 <= probability <= LEAKS_ABOVE:
            raise ValueError(
                f"the probability of an augmentation must be between 0 and {LEAKS_ABOVE}, got "
                f"{probability}: above, it would be seen in generated images"
            )
        chosen = [one for one in operations.values() if one is not None]
        self.geometric = [one for one in chosen if isinstance(one, GeometricOperation)]
        self.colours = [one for one in chosen if isinstance(one, ColourOperation)]
        self.probability = probability

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        if self.probability == 0:
            return images
        count, size = len(images), (images.shape[2], images.shape[3])
        if self.geometric:
            back = torch.eye(3).repeat(count, 1, 1)
            for move in self.geometric:
                chance = move.chance(self.probability)
                back = back @ _some(move.draw(count, size, random), chance, random)
            images = warp(images, back, "reflection")
        if self.colours:
            maps = torch.eye(4).repeat(count, 1, 1)
            for colour in self.colours:
                maps = _some(colour.draw(count, random), self.probability, random) @ maps
            images = apply_colours(images, maps.to(images.device, non_blocking=True))
        return images


class AdaptiveAugment(FixedAugment):
    """ADA: p follows how much the discriminator overfits (Karras et al. 2020, section 3).

    Every ``every`` steps p moves up if the signal, averaged over those steps, lies above
    ``target``, and down if below; it never passes 0.8, where augmentations begin to leak. The
    signal must suit the loss: ``needs_absolute_logits`` can't go with a relativistic one.

    Args:
        operations: see FixedAugment.
        signal: of overfitting, from the logits of both.
        target: of the signal; 0.6 for SignOfReal, 0.77 for SignOfPairs.
        images_per_unit: real images in which p would move from 0 to 1.
        every: steps between adjustments.
    """

    _state: Tensor

    def __init__(
        self,
        operations: Operations,
        signal: OverfittingSignal,
        target: Annotated[float, Interval(ge=-1, le=1)] = 0.6,
        images_per_unit: Count = 500_000,
        every: Count = 4,
    ) -> None:
        super().__init__(operations, probability=0.0)
        if not -1 < target < 1 or images_per_unit < 1 or every < 1:
            raise ValueError(
                "target must be between -1 and 1, images_per_unit and every at least 1, got "
                f"{target}, {images_per_unit} and {every}"
            )
        self.signal, self.target = signal, target
        self.images_per_unit, self.every = images_per_unit, every
        # p, the sum of the signal since p last moved, how many images and steps that is over
        self.register_buffer("_state", torch.zeros(4, dtype=torch.float64))
        self._total: Tensor | float = 0.0
        self._images = self._steps = 0

    def observe(self, real_logits: Tensor, fake_logits: Tensor, images: int) -> None:
        signal = self.signal(real_logits, fake_logits)
        self._total = self._total + signal.sum() * (images / signal.numel())
        self._images += images
        self._steps += 1
        if self._steps < self.every:  # reading the sum would wait for the device
            return
        above = float(self._total) / self._images - self.target
        step = self._images / self.images_per_unit
        moved = self.probability + (step if above > 0 else -step if above < 0 else 0.0)
        self.probability = min(max(moved, 0.0), LEAKS_ABOVE)
        self._total, self._images, self._steps = 0.0, 0, 0

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        values = (self.probability, float(self._total), self._images, self._steps)
        self._state.copy_(torch.tensor(values, dtype=torch.float64))
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.probability, self._total, images, steps = self._state.tolist()
        self._images, self._steps = int(images), int(steps)


def _some(matrices: Tensor, chance: float, random: torch.Generator) -> Tensor:
    """``matrices`` ``(N, K, K)``, each replaced by the identity unless chance hits it."""
    hit = torch.rand(len(matrices), 1, 1, generator=random) < chance
    return torch.where(hit, matrices, torch.eye(matrices.shape[1]))
