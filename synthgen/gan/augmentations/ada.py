"""Adaptive discriminator augmentation: operations that each hit an image with probability p,
which is fixed, scheduled, or led by how much the discriminator overfits."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

import torch
from annotated_types import Interval
from torch import Tensor

from synthgen.gan.augmentations.base import Augmentation, warp
from synthgen.processes import Processes
from synthgen.ranges import Count, Degrees, Share, Spread
from synthgen.seeds import BatchGenerator
from synthgen.training.schedules import ShareSchedule

# How much the discriminator overfits, told from its logits: what adaptive augmentation follows.


class OverfittingSignal(Protocol):
    """0 while the discriminator knows nothing, 1 once it knows every training image."""

    needs_absolute_logits: bool  # zero must separate real from fake: not so for relativistic losses

    def __call__(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """float32 ``(N,)`` both -> float32 ``(N,)`` in [-1, 1], to be averaged."""
        ...


class SignOfReal:
    """sign D(real), the paper's r_t (Karras et al. 2020, eq. 1). For losses under which a positive
    logit means real: non-saturating, hinge."""

    needs_absolute_logits = True

    def __call__(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return real_logits.sign()


class SignOfPairs:
    """sign (D(real) - D(fake)) of two images of a class: how often the discriminator ranks them
    rightly, for losses that define differences of logits only (relativistic, Wasserstein).

    Not in the paper. If both logits are normal with one deviation, r_t = 0.6 is an accuracy of 80 %
    on single images and of 88 % on pairs; so 0.77 is the target here that 0.6 is there.
    """

    needs_absolute_logits = False

    def __call__(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return (real_logits - fake_logits).sign()


LUMA = torch.full((3, 3), 1 / 3)  # projects on the grey axis


class ColourOperation(ABC):
    """Draws float32 ``(N, 4, 4)`` maps of (red, green, blue, 1)."""

    @abstractmethod
    def draw(self, count: int, random: BatchGenerator) -> Tensor: ...


class ShiftBrightness(ColourOperation):
    """Adds N(0, deviation²).

    Colour operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map of
    (red, green, blue) per image. They leave grey grey, so they hold for grey images too:
    brightness, contrast and the flip of the luma act there, hue and saturation do nothing.
    """

    def __init__(self, deviation: Spread = 0.2) -> None:
        self.deviation = deviation

    def draw(self, count: int, random: BatchGenerator) -> Tensor:
        found = torch.eye(4).repeat(count, 1, 1)
        found[:, :3, 3] = random.randn(count, 1) * self.deviation
        return found


class ScaleContrast(ColourOperation):
    """Multiplies by 2 to the power of N(0, deviation²).

    Colour operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map of
    (red, green, blue) per image. They leave grey grey, so they hold for grey images too:
    brightness, contrast and the flip of the luma act there, hue and saturation do nothing.
    """

    def __init__(self, deviation: Spread = 0.5) -> None:
        self.deviation = deviation

    def draw(self, count: int, random: BatchGenerator) -> Tensor:
        factor = torch.exp2(random.randn(count) * self.deviation)
        return _linear(factor[:, None, None] * torch.eye(3))


class FlipLuma(ColourOperation):
    """Light for dark at the same hue, or not, at equal odds.

    Colour operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map of
    (red, green, blue) per image. They leave grey grey, so they hold for grey images too:
    brightness, contrast and the flip of the luma act there, hue and saturation do nothing.
    """

    def draw(self, count: int, random: BatchGenerator) -> Tensor:
        flipped = random.randint(0, 2, count).float()
        return _linear(torch.eye(3) - 2 * LUMA * flipped[:, None, None])


class RotateHue(ColourOperation):
    """Turns colours around the grey axis by U(-degrees, degrees).

    Colour operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map of
    (red, green, blue) per image. They leave grey grey, so they hold for grey images too:
    brightness, contrast and the flip of the luma act there, hue and saturation do nothing.
    """

    def __init__(self, degrees: Degrees = 180.0) -> None:
        self.degrees = degrees

    def draw(self, count: int, random: BatchGenerator) -> Tensor:
        drawn = random.rand(count) * 2 - 1
        angle = (drawn * math.radians(self.degrees))[:, None, None]
        cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
        return _linear(LUMA + angle.cos() * (torch.eye(3) - LUMA) + angle.sin() * cross)


class ScaleSaturation(ColourOperation):
    """Multiplies the distance from grey by 2 to the power of N(0, deviation²).

    Colour operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map of
    (red, green, blue) per image. They leave grey grey, so they hold for grey images too:
    brightness, contrast and the flip of the luma act there, hue and saturation do nothing.
    """

    def __init__(self, deviation: Spread = 1.0) -> None:
        self.deviation = deviation

    def draw(self, count: int, random: BatchGenerator) -> Tensor:
        factor = torch.exp2(random.randn(count) * self.deviation)
        return _linear(LUMA + factor[:, None, None] * (torch.eye(3) - LUMA))


def apply_colours(images: Tensor, maps: Tensor) -> Tensor:
    """float32 ``(N, C, H, W)`` of 1 or 3 channels through ``(N, 4, 4)`` maps of colours."""
    if images.shape[1] == 1:
        scale, shift = maps[:, :3, :3].sum(2).mean(1), maps[:, :3, 3].mean(1)
        return images * scale[:, None, None, None] + shift[:, None, None, None]
    mixed = torch.einsum("nij,njhw->nihw", maps[:, :3, :3], images)
    return mixed + maps[:, :3, 3, None, None]


def _linear(inner: Tensor) -> Tensor:
    found = torch.eye(4).repeat(len(inner), 1, 1)
    found[:, :3, :3] = inner
    return found


class GeometricOperation(ABC):
    """Draws float32 ``(N, 3, 3)`` maps from output to input."""

    def chance(self, probability: float) -> float:
        """Of being applied to an image, in a pipe with this ``probability``."""
        return probability

    @abstractmethod
    def draw(self, count: int, size: tuple[int, int], random: BatchGenerator) -> Tensor:
        """``size`` is (height, width)."""


class XFlip(GeometricOperation):
    """Mirrored left to right, or not, at equal odds.

    Geometric operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map
    per image, so that any number of them costs one resampling.

    Each gives the map back from output to input in pixels from the centre, see
    :func:`synthgen.gan.augmentations.base.warp`.
    """

    def draw(self, count: int, size: tuple[int, int], random: BatchGenerator) -> Tensor:
        sign = random.randint(0, 2, count) * 2.0 - 1
        return _scaling(sign, torch.ones(count))


class QuarterTurns(GeometricOperation):
    """0, 1, 2 or 3 quarter turns at equal odds.

    Geometric operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map
    per image, so that any number of them costs one resampling.

    Each gives the map back from output to input in pixels from the centre, see
    :func:`synthgen.gan.augmentations.base.warp`.
    """

    def draw(self, count: int, size: tuple[int, int], random: BatchGenerator) -> Tensor:
        turns = random.randint(0, 4, count)
        cosine = torch.tensor([1.0, 0.0, -1.0, 0.0])
        return _turn(cosine[turns], cosine[(turns + 3) % 4])


class IntegerTranslation(GeometricOperation):
    """Moved by whole pixels, up to ``share`` of each side.

    Geometric operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map
    per image, so that any number of them costs one resampling.

    Each gives the map back from output to input in pixels from the centre, see
    :func:`synthgen.gan.augmentations.base.warp`.
    """

    def __init__(self, share: Share = 0.125) -> None:
        self.share = share

    def draw(self, count: int, size: tuple[int, int], random: BatchGenerator) -> Tensor:
        drawn = (random.rand(count, 2) * 2 - 1) * self.share
        return _shift((drawn * _sides(size)).round())


class IsotropicScaling(GeometricOperation):
    """Scaled by 2 to the power of N(0, deviation²).

    Geometric operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map
    per image, so that any number of them costs one resampling.

    Each gives the map back from output to input in pixels from the centre, see
    :func:`synthgen.gan.augmentations.base.warp`.
    """

    def __init__(self, deviation: Spread = 0.2) -> None:
        self.deviation = deviation

    def draw(self, count: int, size: tuple[int, int], random: BatchGenerator) -> Tensor:
        factor = torch.exp2(random.randn(count) * self.deviation)
        return _scaling(factor, factor)


class AnisotropicScaling(GeometricOperation):
    """Width scaled by 2 to the power of N(0, deviation²) and height by its inverse.

    Geometric operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map
    per image, so that any number of them costs one resampling.

    Each gives the map back from output to input in pixels from the centre, see
    :func:`synthgen.gan.augmentations.base.warp`.
    """

    def __init__(self, deviation: Spread = 0.2) -> None:
        self.deviation = deviation

    def draw(self, count: int, size: tuple[int, int], random: BatchGenerator) -> Tensor:
        factor = torch.exp2(random.randn(count) * self.deviation)
        return _scaling(factor, 1 / factor)


class Rotation(GeometricOperation):
    """Turned by U(-degrees, degrees). The pipe has one before and one after the anisotropic
    scaling; each is applied with 1 - √(1 - p), so that p of the images are turned.

    Geometric operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map
    per image, so that any number of them costs one resampling.

    Each gives the map back from output to input in pixels from the centre, see
    :func:`synthgen.gan.augmentations.base.warp`.
    """

    def __init__(self, degrees: Degrees = 180.0) -> None:
        self.degrees = degrees

    def chance(self, probability: float) -> float:
        return 1 - math.sqrt(1 - probability)

    def draw(self, count: int, size: tuple[int, int], random: BatchGenerator) -> Tensor:
        drawn = random.rand(count) * 2 - 1
        angle = drawn * math.radians(self.degrees)
        return _turn(angle.cos(), angle.sin())


class FractionalTranslation(GeometricOperation):
    """Moved by N(0, deviation²) of each side.

    Geometric operations of adaptive augmentation (Karras et al. 2020, appendix B): one affine map
    per image, so that any number of them costs one resampling.

    Each gives the map back from output to input in pixels from the centre, see
    :func:`synthgen.gan.augmentations.base.warp`.
    """

    def __init__(self, deviation: Spread = 0.125) -> None:
        self.deviation = deviation

    def draw(self, count: int, size: tuple[int, int], random: BatchGenerator) -> Tensor:
        return _shift(random.randn(count, 2) * self.deviation * _sides(size))


def _sides(size: tuple[int, int]) -> Tensor:
    return torch.tensor([size[1], size[0]], dtype=torch.float32)


def _scaling(columns: Tensor, rows: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([columns, rows, torch.ones_like(rows)], dim=1))


def _shift(by: Tensor) -> Tensor:
    found = torch.eye(3).repeat(len(by), 1, 1)
    found[:, :2, 2] = by
    return found


def _turn(cosine: Tensor, sine: Tensor) -> Tensor:
    found = torch.eye(3).repeat(len(cosine), 1, 1)
    found[:, 0, 0], found[:, 0, 1] = cosine, -sine
    found[:, 1, 0], found[:, 1, 1] = sine, cosine
    return found


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

    def forward(self, images: Tensor, random: BatchGenerator) -> Tensor:
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
        self.processes = Processes()  # those that train with it

    def observe(self, real_logits: Tensor, fake_logits: Tensor, images: int) -> None:
        signal = self.signal(real_logits, fake_logits)
        # At every step, not where it is read: what is saved in between must be that of all rows.
        signals = self.processes.total(signal.sum() * (images / signal.numel()))
        self._total = self._total + signals
        self._images += images * self.processes.world
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


def _some(matrices: Tensor, chance: float, random: BatchGenerator) -> Tensor:
    """``matrices`` ``(N, K, K)``, each replaced by the identity unless chance hits it."""
    hit = random.rand(len(matrices), 1, 1) < chance
    return torch.where(hit, matrices, torch.eye(matrices.shape[1]))


# Operations that each hit an image with a probability that changes over the run.


class ScheduledAugment(FixedAugment):
    """p follows a schedule, from 0 to 0.55 for example (Huang et al. 2024, appendix): the generator
    first learns what images look like, then that it must not learn few of them by heart.

    Args:
        operations: see FixedAugment.
        schedule: p by progress of the run; what lies above 0.8 counts as 0.8.
    """

    def __init__(self, operations: Operations, schedule: ShareSchedule) -> None:
        super().__init__(operations, probability=0.0)
        self.schedule = schedule

    def advance(self, progress: float) -> None:
        self.probability = min(max(self.schedule(progress), 0.0), LEAKS_ABOVE)
