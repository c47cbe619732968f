"""One number of a report, with all that is needed to read it, and what the parts of an
evaluation find."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from synthgen.stats import Estimate

HIGHER_IS_BETTER = {
    "frechet_distance": False,
    "frechet_infinity": False,
    "kid": False,
    "mmd": False,
    "mind": False,
    "precision": True,
    "recall": True,
    "density": True,
    "coverage": True,
    "vendi": True,
    "inception_score": True,
    "accuracy": True,
    "balanced_accuracy": True,
    "macro_precision": True,
    "macro_recall": True,
    "macro_f1": True,
}


@dataclass(frozen=True)
class Result:
    """Identified by (name, extractor, classifier, scope).

    ``scope`` is None or ``{"class": name}``; value and interval (95 %) are None when there were too
    few images to say; ``seconds`` is wall-clock time, shared evenly by results of one computation.
    ``settings`` holds what a metric took from the real images (MMD: its kernel's ``bandwidth``);
    KID of sets drawn class by class has the published estimator's value there, ``plain``.
    """

    name: str
    extractor: str | None
    classifier: str | None
    scope: dict[str, str] | None
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n_real: int
    n_fake: int
    higher_is_better: bool
    seconds: float
    settings: dict[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def make_result(
    name: str,
    estimate: Estimate,
    *,
    n_real: int,
    n_fake: int,
    seconds: float,
    extractor: str | None = None,
    classifier: str | None = None,
    scope: dict[str, str] | None = None,
    settings: dict[str, float] | None = None,
) -> Result:
    """A result whose direction follows from the last part of its name."""
    return Result(
        name=name,
        extractor=extractor,
        classifier=classifier,
        scope=scope,
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        n_real=n_real,
        n_fake=n_fake,
        higher_is_better=HIGHER_IS_BETTER[name.rsplit("/", 1)[-1]],
        seconds=round(seconds, 3),
        settings=settings,
    )


# What the parts of an evaluation find, on its way into the report.


@dataclass
class Findings:
    """What the parts of an evaluation add to the report."""

    results: list[Result] = field(default_factory=list)
    references: list[dict[str, Any]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    confusion: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    verdict: dict[str, Any] | None = None
    trial: dict[str, Any] | None = None
    neighbours: list[dict[str, Any]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    copying: dict[str, Any] = field(default_factory=dict)  # by extractor
    statistics: dict[str, Any] | None = None
    fairness: dict[str, Any] | None = None
