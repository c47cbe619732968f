"""How many images of each class: decided, checked and numbered before anything is drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from synthgen.errors import SynthgenError
from synthgen.ranges import Rows
from synthgen.seeds import ROWS_PER_PLAN
from synthgen.spec import Rebuildable
from synthgen.strange_names import nearest


class Plan(Rebuildable, ABC):
    """Decides the number of images of each class."""

    @abstractmethod
    def quotas(
        self, classes: tuple[str, ...], real_counts: dict[str, int] | None
    ) -> dict[str, int]:
        """Images to draw by class; a class that is left out gets none.

        ``real_counts`` are the training images by class, None where the sampler doesn't know them.
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
