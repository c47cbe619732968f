"""The clock of a training, and values that change over a run as functions of its progress."""

from __future__ import annotations

import math
import time
from typing import Annotated, Any, Protocol

import torch
from torch import Tensor, nn

from synthgen.ranges import Decay, NonNegative, PositiveShare, Real, Share, Values


class Schedule(Protocol):
    def __call__(self, progress: float) -> float: ...


Rate = Annotated[Schedule, Values(NonNegative)]  # of learning
Weight = Annotated[Schedule, Values(NonNegative)]  # of a loss
Beta = Annotated[Schedule, Values(Decay)]  # of Adam's second moment
ShareSchedule = Annotated[Schedule, Values(Share)]


class Constant:
    """The same value throughout."""

    def __init__(self, value: Real) -> None:
        self.value = value

    def __call__(self, progress: float) -> float:
        return self.value


class Ramp:
    """From ``start`` to ``end``, reached at progress ``until``, then held."""

    def __init__(self, start: Real, end: Real, until: PositiveShare = 1.0) -> None:
        if not 0 < until <= 1:
            raise ValueError(f"until must be in (0, 1], got {until}")
        self.start, self.end, self.until = start, end, until


class Cosine(Ramp):
    """Half a cosine from ``start`` to ``end``, reached at progress ``until``, then held."""

    def __call__(self, progress: float) -> float:
        share = min(1.0, progress / self.until)
        return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * share))


class Linear(Ramp):
    """A straight line from ``start`` to ``end``, reached at progress ``until`` and held."""

    def __call__(self, progress: float) -> float:
        return self.start + (self.end - self.start) * min(1.0, progress / self.until)


# The clock of a training: images seen and seconds spent. Schedules, EMA, logs, checkpoints follow
# it, because under manual optimization with several optimizers a step count means little.


class Clock(nn.Module):
    """Counts real images and seconds; both survive a checkpoint because they are buffers.

    Attributes:
        max_images: the run ends once this many real images were seen (None: no such limit).
        max_seconds: the run ends after this much training time, earlier parts of a resumed run
            included (None: no such limit).
    """

    _images: Tensor
    _seconds: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("_images", torch.zeros((), dtype=torch.int64))
        self.register_buffer("_seconds", torch.zeros(()))  # Apple's GPUs know no float64
        self.max_images: int | None = None
        self.max_seconds: float | None = None
        self.images_seen = 0  # Python numbers: reading a buffer would wait for the GPU
        self.seconds = 0.0
        self._last_tick: float | None = None

    def start(self, max_images: int | None, max_seconds: float | None) -> None:
        """Set the limits and begin to count time."""
        if max_images is None and max_seconds is None:
            raise ValueError("a training needs max_images or max_seconds")
        if any(limit is not None and not limit > 0 for limit in (max_images, max_seconds)):
            raise ValueError("max_images and max_seconds must be more than 0")
        self.max_images, self.max_seconds = max_images, max_seconds
        self._last_tick = time.monotonic()

    def tick(self, images: int) -> None:
        """``images`` more real images were seen."""
        now = time.monotonic()
        self.images_seen += images
        self.seconds += now - (self._last_tick or now)
        self._last_tick = now

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 … 1: the larger of the two limits' shares."""
        shares = [0.0]
        if self.max_images:
            shares.append(self.images_seen / self.max_images)
        if self.max_seconds:
            shares.append(self.seconds / self.max_seconds)
        return min(1.0, max(shares))

    @property
    def finished(self) -> bool:
        return self.progress >= 1.0

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._images.fill_(self.images_seen)
        self._seconds.fill_(self.seconds)
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.images_seen, self.seconds = int(self._images), float(self._seconds)
