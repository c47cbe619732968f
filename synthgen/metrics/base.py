"""What a metric is: one object for reports, for training and for anybody's own loop."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from torch import Tensor

from synthgen.metrics.arrays import Strata, StrataOfBoth, check_pair, dealt_out
from synthgen.stats import Estimate, jackknife_variance, t_interval

GROUPS = 10
if TYPE_CHECKING:
    import torchmetrics

Shared = TypeVar("Shared")


@dataclass(frozen=True)
class Comparison:
    """Real and synthetic images in one space of features, and what metrics share about them.

    Args:
        real: features ``(N, D)``, float32 or float64.
        fake: features ``(M, D)`` of the synthetic images.
        strata: of the real and the synthetic images, if both sets hold fixed counts of each class.
        logits: turns features into the class scores ``(M, K)`` of the Inception score.
    """

    real: Tensor
    fake: Tensor
    strata: StrataOfBoth | None = None
    logits: Callable[[Tensor], Tensor] | None = None
    _shared: dict[Callable[..., Any], Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def fake_logits(self) -> Tensor:
        """Class scores ``(M, K)``.

        Raises:
            ValueError: the space of features has none.
        """
        if self.logits is None:
            raise ValueError("this space of features has no class scores")
        return self.logits(self.fake)

    def once(self, computation: Callable[[Comparison], Shared]) -> Shared:
        """``computation`` of this comparison, done once for all metrics that ask for it."""
        if computation not in self._shared:
            self._shared[computation] = computation(self)
        return cast(Shared, self._shared[computation])


class Metric(ABC):
    """One number about synthetic images, as a report names, orders and explains it.

    A subclass names itself and computes :meth:`value`. Its interval and the form for batches
    follow, and may be replaced by better ones.

    Attributes:
        name: in ``report.json`` (``fidelity/<name>``), in W&B and on the command line.
        label: in tables and charts.
        higher_is_better: the direction.
        definition: one sentence: the formula and its choices.
        interval: one sentence: where its interval comes from.
        fewest: images of each set below which a report says "too few images".
    """

    name: ClassVar[str]
    label: ClassVar[str]
    higher_is_better: ClassVar[bool]
    definition: ClassVar[str]
    interval: ClassVar[str] = "jackknife over 10 groups of both sets together, t quantile"
    fewest: ClassVar[int] = 10

    @abstractmethod
    def value(self, sets: Comparison) -> float:
        """The number of whole sets.

        Raises:
            ValueError: there are too few images.
        """

    def estimate(self, sets: Comparison) -> Estimate:
        """The number with a 95 % interval: a jackknife that leaves out a group of both sets at a
        time, each with its part of every class."""
        value = self.value(sets)
        pair = check_pair(sets.real, sets.fake)
        groups = min(GROUPS, *(len(features) // 2 for features in pair))
        if groups < 2:
            return Estimate(value, None, None)
        sides = sets.strata or (None, None)
        dealt = [dealt_out(x, side, groups) for x, side in zip(pair, sides, strict=True)]
        without = [
            self.value(left_out(sets, dealt[0] != group, dealt[1] != group))
            for group in range(groups)
        ]
        if not all(math.isfinite(one) for one in (value, *without)):
            return Estimate(value, math.nan, math.nan)
        variance = jackknife_variance(without)
        if not variance[0]:  # a share of 1, say: that no group differs is no proof of certainty
            return Estimate(value, None, None)
        return t_interval(value, [variance])

    def applies_to(self, sets: Comparison) -> bool:
        """Whether the space of features offers what the metric needs."""
        return True

    def settings(self, sets: Comparison) -> dict[str, float] | None:
        """What the metric took from the data, for whoever wants to compute it again."""
        return None

    def streaming(self, num_features: int, **kwargs: Any) -> torchmetrics.Metric:
        """The same metric for batches on any number of processes: ``update(real=…, fake=…)`` with
        features ``(B, num_features)``, then ``compute()``, a float64 scalar, which raises
        ValueError before enough images have arrived.

        Args:
            num_features: D.
            **kwargs: of :class:`~synthgen.metrics.streaming.Reservoir`, or of torchmetrics.Metric.
        """
        from synthgen.metrics.streaming import HigherReservoir, Reservoir  # takes seconds

        kind = HigherReservoir if self.higher_is_better else Reservoir
        return kind(self, num_features, **kwargs)


def left_out(sets: Comparison, real: Tensor, fake: Tensor) -> Comparison:
    """The images of both sets that bool ``(N,)`` and ``(M,)`` name."""
    strata = sets.strata and (
        Strata(sets.strata[0].labels[real], sets.strata[0].shares),
        Strata(sets.strata[1].labels[fake], sets.strata[1].shares),
    )
    return Comparison(sets.real[real], sets.fake[fake], strata, sets.logits)
