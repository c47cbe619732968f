"""Values that change over a run, as functions of its progress from 0 to 1."""

from __future__ import annotations

import math
from typing import Annotated, Protocol

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


class Cosine:
    """Half a cosine from ``start`` to ``end``, reached at progress ``until``, then held."""

    def __init__(self, start: Real, end: Real, until: PositiveShare = 1.0) -> None:
        if not 0 < until <= 1:
            raise ValueError(f"until must be in (0, 1], got {until}")
        self.start, self.end, self.until = start, end, until

    def __call__(self, progress: float) -> float:
        share = min(1.0, progress / self.until)
        return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * share))


class Linear:
    """A straight line from ``start`` to ``end``, reached at progress ``until`` and held."""

    def __init__(self, start: Real, end: Real, until: PositiveShare = 1.0) -> None:
        if not 0 < until <= 1:
            raise ValueError(f"until must be in (0, 1], got {until}")
        self.start, self.end, self.until = start, end, until

    def __call__(self, progress: float) -> float:
        return self.start + (self.end - self.start) * min(1.0, progress / self.until)
