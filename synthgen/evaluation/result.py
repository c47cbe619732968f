"""What the parts of an evaluation find, on its way into the report."""

from __future__ import annotations

from dataclasses import dataclass, field

from synthgen.evaluation.schema import (
    Confusion,
    Copying,
    Fairness,
    Figure,
    Neighbours,
    Reference,
    Result,
    Statistics,
    TransferStep,
)
from synthgen.evaluation.trial.schema import Trial, TrialVerdict
from synthgen.stats import Estimate


def make_result(
    name: str,
    estimate: Estimate,
    *,
    n_real: int,
    n_fake: int,
    seconds: float,
    label: str | None = None,
    higher_is_better: bool = True,
    extractor: str | None = None,
    classifier: str | None = None,
    scope: dict[str, str] | None = None,
    settings: dict[str, float] | None = None,
) -> Result:
    """An estimate as the report has it; scores of classifiers are all better when higher, and their
    labels are their names."""
    return Result(
        name=name,
        label=label,
        extractor=extractor,
        classifier=classifier,
        scope=scope,
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        n_real=n_real,
        n_fake=n_fake,
        higher_is_better=higher_is_better,
        seconds=round(seconds, 3),
        settings=settings,
    )


@dataclass
class Findings:
    """What the parts of an evaluation add to the report."""

    results: list[Result] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    confusion: dict[str, Confusion] = field(default_factory=dict)  # by arm
    curves: dict[str, list[TransferStep]] = field(default_factory=dict)
    verdict: TrialVerdict | None = None
    trial: Trial | None = None
    neighbours: list[Neighbours] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    copying: dict[str, Copying] = field(default_factory=dict)  # by extractor
    statistics: Statistics | None = None
    fairness: Fairness | None = None
