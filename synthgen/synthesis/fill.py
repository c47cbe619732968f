"""Plans that fill up an imbalanced training set: few images of a class are joined by many new."""

from __future__ import annotations

import math
from abc import abstractmethod

from synthgen.errors import SynthgenError
from synthgen.ranges import Decay, Positive, Rows
from synthgen.synthesis.plan import Plan


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
