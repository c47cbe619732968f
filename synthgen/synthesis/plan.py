"""How many images of each class, and the row of every image: decided, checked and numbered
before anything is drawn."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import SynthgenError, nearest
from synthgen.ranges import MAX_PLAN_SEED, ROWS_PER_PLAN, Decay, Positive, Rows
from synthgen.seeds import redraw_seed, row_seeds
from synthgen.serialization import Rebuildable

# The rows of a set: source, label, seed and name of every image, known before the first is drawn.
#
# Nothing here grows with the number of images: a row is worked out when it is asked for.

MIN_DIGITS = 6  # so that sets of different sizes name their files alike


@dataclass(frozen=True)
class Segment:
    """``count`` rows of one class that come from one source."""

    source: int  # position among the order's sources
    label: int
    count: int


@dataclass(frozen=True)
class Part:
    """Some rows, in ascending order. All tensors are int64 ``(N,)``."""

    numbers: Sequence[int]
    sources: Tensor
    labels: Tensor
    positions: Tensor  # within the row's segment, counted from 0

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class PlannedRows:
    """``segments`` one after the other, numbered from ``first`` on."""

    classes: tuple[str, ...]
    segments: tuple[Segment, ...]
    seed: int
    first: int = 0

    def __post_init__(self) -> None:
        seed = self.seed
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_PLAN_SEED:
            raise SynthgenError(
                f"seed must be a whole number from 0 to {MAX_PLAN_SEED}, got {seed!r}."
            )

    def __len__(self) -> int:
        return sum(segment.count for segment in self.segments)

    @property
    def stop(self) -> int:
        return self.first + len(self)

    @cached_property
    def digits(self) -> int:
        """Of a row's name: as many for every row."""
        return max(MIN_DIGITS, len(str(self.stop - 1)))

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([segment.count for segment in self.segments])

    def part(self, numbers: Sequence[int]) -> Part:
        """The rows ``numbers``, which lie between ``first`` and ``stop``."""
        rows = as_array(numbers) - self.first
        index = np.searchsorted(self._ends, rows, side="right")
        sources, labels, counts = (
            np.array([getattr(one, key) for one in self.segments], dtype=np.int64)[index]
            for key in ("source", "label", "count")
        )
        positions = rows - (self._ends[index] - counts)
        return Part(
            numbers,
            torch.from_numpy(sources),
            torch.from_numpy(labels),
            torch.from_numpy(positions),
        )

    def seeds(self, part: Part, attempts: Tensor) -> Tensor:
        """int64 ``(N,)``: the seeds of the rows' draws number ``attempts``, counted from 0."""
        seeds = row_seeds(self.seed, 0, 1) + torch.from_numpy(as_array(part.numbers))
        for index in attempts.nonzero().flatten().tolist():
            row, attempt = part.numbers[index], int(attempts[index])
            seeds[index] = redraw_seed(self.seed, row, attempt)
        return seeds

    def names(self, numbers: Sequence[int]) -> list[str]:
        """The row's number with leading zeros: the stem of its file."""
        return [f"{row:0{self.digits}d}" for row in numbers]


def as_array(numbers: Sequence[int]) -> np.ndarray:
    """int64 ``(N,)``; NumPy would walk through a range number by number."""
    if isinstance(numbers, range):
        return np.arange(numbers.start, numbers.stop, numbers.step, dtype=np.int64)
    return np.asarray(numbers, dtype=np.int64)


def segments_of(quotas: dict[str, int], source: int) -> list[Segment]:
    """Class by class in class order, without the empty ones."""
    return [
        Segment(source, label, count) for label, count in enumerate(quotas.values()) if count > 0
    ]


def first_of_each_class(segments: Sequence[Segment], count: int, classes: int) -> list[int]:
    """Positions of the first ``count`` rows of each of the first ``classes`` classes that have
    any, class by class."""
    start, found = 0, dict[int, list[int]]()
    for segment in segments:
        mine = found.setdefault(segment.label, [])
        mine.extend(range(start, start + min(segment.count, count - len(mine))))
        start += segment.count
    return [row for label in sorted(found)[:classes] for row in found[label]]


@dataclass(frozen=True)
class ExampleRows:
    """The labels, int64 ``(N,)``, of the few rows that a contact sheet shows."""

    labels: Tensor


class Plan(Rebuildable, ABC):
    """Decides the number of images of each class."""

    @abstractmethod
    def quotas(
        self, classes: tuple[str, ...], real_counts: dict[str, int] | None
    ) -> dict[str, int]:
        """Images to draw by class; a class that is left out gets none.

        Args:
            real_counts: training images by class; None where the sampler doesn't know them.

        Raises:
            SynthgenError: the plan needs ``real_counts`` and there are none.
        """


class Balanced(Plan):
    """The same number of images of every class."""

    def __init__(self, per_class: Rows) -> None:
        self.per_class = whole_number(per_class, "plan.per_class")

    def quotas(
        self, classes: tuple[str, ...], real_counts: dict[str, int] | None
    ) -> dict[str, int]:
        return dict.fromkeys(classes, self.per_class)


class MatchReal(Plan):
    """The shares of the real training images: ``total`` images, or as many as there are real ones.

    Shares of ``total`` are rounded by largest remainders in whole numbers, so they add up exactly;
    equal remainders go to the earlier class.
    """

    def __init__(self, total: Rows | None = None) -> None:
        self.total = None if total is None else whole_number(total, "plan.total")

    def quotas(
        self, classes: tuple[str, ...], real_counts: dict[str, int] | None
    ) -> dict[str, int]:
        if not real_counts or not any(real_counts.values()):
            raise SynthgenError(
                "plan=match_real needs the real images per class, and this sampler doesn't say.\n"
                "Use plan=balanced plan.per_class=N, or train the sampler again."
            )
        if self.total is None:
            return dict(real_counts)
        return largest_remainder(real_counts, self.total)


class PerClass(Plan):
    """A number for every class, or a map from class to number; unnamed classes get none."""

    def __init__(self, per_class: Rows | dict[str, Rows]) -> None:
        if isinstance(per_class, Mapping):
            # YAML reads the key of class "0" as a number.
            named = {str(name): count for name, count in per_class.items()}
            self.per_class: int | dict[str, int] = {
                name: whole_number(count, f"plan.per_class.{name}") for name, count in named.items()
            }
        else:
            self.per_class = whole_number(per_class, "plan.per_class")

    def quotas(
        self, classes: tuple[str, ...], real_counts: dict[str, int] | None
    ) -> dict[str, int]:
        if isinstance(self.per_class, int):
            return dict.fromkeys(classes, self.per_class)
        return dict(self.per_class)


def shared_quotas(quotas: dict[str, int], shares: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """The quotas of each sampler in ``shares`` (name -> whole weight), which add up to ``quotas``
    in every class."""
    per_class = {name: largest_remainder(shares, count) for name, count in quotas.items()}
    return {sampler: {name: per_class[name][sampler] for name in quotas} for sampler in shares}


def largest_remainder(weights: Mapping[str, int], total: int) -> dict[str, int]:
    """Whole shares of ``total`` in proportion to ``weights``, by Hamilton's method."""
    whole = sum(weights.values())
    shares = {name: total * weight // whole for name, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda name: -(total * weights[name] % whole))  # stable
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def checked_quotas(
    plan: Plan, classes: tuple[str, ...], real_counts: dict[str, int] | None
) -> dict[str, int]:
    """The quotas of every class in class order; raises SynthgenError if they can't be fulfilled."""
    quotas = plan.quotas(classes, real_counts)
    known = set(classes)
    for name, count in quotas.items():
        if name not in known:
            raise SynthgenError(_unknown_class(name, classes))
        whole_number(count, f"the number of images of class {name!r}")
    total = sum(quotas.values())
    if total == 0:
        raise SynthgenError(
            "The plan asks for no images at all.\nGive it a number above 0: plan.per_class=100."
        )
    if total > ROWS_PER_PLAN:
        raise SynthgenError(
            f"The plan asks for {total:,} images; one plan has at most {ROWS_PER_PLAN:,}.\n"
            "Split it into several sets with different seeds."
        )
    return {name: quotas.get(name, 0) for name in classes}


def whole_number(value: Any, what: str) -> int:
    """``value`` if it is an integer of at least 0; booleans and 10.0 are no integers."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SynthgenError(f"{what} must be a whole number, 0 or more; got {value!r}.")
    return value


def _unknown_class(name: str, classes: tuple[str, ...]) -> str:
    close = nearest(name, classes, cutoff=0.5)
    shown = ", ".join(classes[:20]) + (", …" if len(classes) > 20 else "")
    hint = f"Did you mean {close!r}?" if close else f"The classes are: {shown}."
    return f"The plan names a class {name!r} that the sampler doesn't have.\n{hint}"


# Plans that fill up an imbalanced training set: few images of a class are joined by many new.


class Filling(Plan):
    """Draws, for each class, what is missing between its real images and a target.

    Args:
        cap: at most so many synthetic images per real one of the class; None: no limit.
    """

    def __init__(self, cap: Positive | None = None) -> None:
        if cap is not None and not 0 < cap < math.inf:
            raise SynthgenError(
                f"plan.cap is {cap}, but must be more than 0: synthetic images per real one."
            )
        self.cap = cap

    @abstractmethod
    def targets(self, real: dict[str, int]) -> dict[str, float]:
        """Images of each class, real and synthetic together; ``real`` are the real ones."""

    def quotas(
        self, classes: tuple[str, ...], real_counts: dict[str, int] | None
    ) -> dict[str, int]:
        if not real_counts or not any(real_counts.values()):
            raise SynthgenError(
                "This plan fills up the real images per class, and the sampler doesn't say how "
                "many there were.\nUse plan=per_class, or train the sampler again."
            )
        targets = self.targets(real_counts)
        quotas = {name: self._missing(count, targets[name]) for name, count in real_counts.items()}
        if not any(quotas.values()):
            raise SynthgenError(
                "Every class has as many real images as the plan's target, so nothing is missing.\n"
                "Use plan=match_real or plan=balanced for more of every class."
            )
        return quotas

    def _missing(self, count: int, target: float) -> int:
        most = math.inf if self.cap is None else self.cap * count
        return int(min(max(round(target) - count, 0), most))


class Fill(Filling):
    """Every class up to ``target`` images; None: up to the number of the largest class."""

    def __init__(self, target: Rows | None = None, cap: Positive | None = None) -> None:
        super().__init__(cap)
        if target is not None and (isinstance(target, bool) or target < 1):
            raise SynthgenError(f"plan.target is {target}, but must be 1 or more, or null.")
        self.target = target

    def targets(self, real: dict[str, int]) -> dict[str, float]:
        return dict.fromkeys(real, float(self.target or max(real.values())))


class FillSquareRoot(Filling):
    """Shares in proportion to the square root of the real counts, the largest class unchanged:
    half way, on a logarithmic scale, from the real shares to equal ones."""

    def targets(self, real: dict[str, int]) -> dict[str, float]:
        largest = max(real.values())
        return {name: math.sqrt(count * largest) for name, count in real.items()}


class FillEffectiveNumber(Filling):
    """As many images as the class-balanced loss (Cui et al. 2019, eqs. 2 and 4) would weigh them.

    ``n`` images of a class count as ``(1 - beta^n) / (1 - beta)`` different ones, and are weighted
    by the inverse. Counts take the place of weights here, the largest class keeping its own:
    ``beta`` 0 leaves the real shares, towards 1 all classes become equal.
    """

    def __init__(self, beta: Decay = 0.999, cap: Positive | None = None) -> None:
        super().__init__(cap)
        if not 0 <= beta < 1:
            raise SynthgenError(f"plan.beta is {beta}, but must be from 0 to less than 1.")
        self.beta = beta

    def targets(self, real: dict[str, int]) -> dict[str, float]:
        effective = {name: self.effective_number(count) for name, count in real.items()}
        largest = max(effective.values())
        return {
            name: count * largest / effective[name] if count else 0.0
            for name, count in real.items()
        }

    def effective_number(self, count: int) -> float:
        """Equation 2 of the paper; ``count`` where beta tends to 1, 1 where it is 0."""
        return (1 - self.beta**count) / (1 - self.beta)
