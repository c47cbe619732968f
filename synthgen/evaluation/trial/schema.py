"""What a report holds of a trial: written and read through these models.

Every score lies in 0..1, every difference is one of scores (0.01: a point), intervals are 95 %.
``None`` is what couldn't be said.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from synthgen.evaluation.schema import Count, CountedInterval, Interval
from synthgen.schema import Schema

Verdict = Literal["helped", "harmed", "no evidence"]
ArmKind = Literal["real", "cheap", "synthetic", "combined", "baseline", "fraction", "control"]


class OtherClasses(Schema):
    """What ``tail_recall`` must not cost."""

    difference: float
    ci_low: float
    ci_high: float
    margin: float
    kept: bool
    p: float


class Copies(Schema):
    """What copies of real images, class by class as many, leave of the difference."""

    label: str
    difference: float
    ci_low: float
    ci_high: float
    beaten: bool
    p: float


class Comparison(Schema):
    """An arm against another on an endpoint; ``p_adjusted`` is Holm's over the secondary ones."""

    name: str
    label: str | None = None
    against: str
    endpoint: str | None = None
    ratio: float | None = None
    primary: bool = False
    verdict: Verdict
    difference: float
    ci_low: float
    ci_high: float
    p: float
    p_adjusted: float
    smallest_detectable: float
    others: OtherClasses | None = None
    control: Copies | None = None


class Replaces(Schema):
    """Where synthetic only meets the learning curve of real images."""

    images: Count
    ci_low: Count
    ci_high: Count
    bound: Literal["at least", "at most"] | None
    fewest: Count
    most: Count
    explained: str = ""


class Adds(Schema):
    """Real images that would have to be added to score as real + synthetic does."""

    images: Count
    ci_low: Count
    ci_high: Count
    extrapolated: bool = True


class RealEquivalent(Schema):
    replaces: Replaces | None
    adds: Adds | None
    reason: str | None


class HoldoutGap(Schema):
    arm: str
    label: str
    holdout: float
    test: float
    ci_low: float
    ci_high: float
    far_above: bool


class TrialVerdict(Schema):
    endpoint: str
    minimum_difference: float
    sentence: str
    ceiling: str | None = None
    holdout_gaps: tuple[HoldoutGap, ...] = ()
    against_best_cheap: Comparison | None
    real_equivalent: RealEquivalent | None = None
    arms: list[Comparison]

    @property
    def primary(self) -> Comparison | None:
        return next((arm for arm in self.arms if arm.primary), None)


class McNemar(Schema):
    seed: int
    only_this_right: Count
    only_real_right: Count
    p: float


class TrialArm(Schema):
    name: str
    label: str
    kind: ArmKind
    ratio: float | None
    n_real: Count
    n_synthetic: Count
    n: Count
    test: Interval
    accuracy: Interval
    balanced_accuracy: Interval | None = None
    holdout: float
    per_seed: list[float]
    recall: dict[str, float]
    chosen_steps: list[Count]
    seconds: float
    mcnemar: list[McNemar] | None
    chosen: bool


class RatioPoint(Schema):
    ratio: float
    holdout: float
    test: float | None
    ci_low: float | None
    ci_high: float | None
    chosen: bool


class LearningPoint(Interval):
    images: Count


class Step(Schema):
    step: Count
    holdout: float


class Skipped(Schema):
    arm: str
    reason: str


class Tail(Schema):
    """Recall of the rare classes by arm, and of the others, which it could be paid with."""

    classes: list[str]
    n: Count
    recall: dict[str, Interval]
    n_others: Count | None = None
    others: dict[str, Interval] = Field(default_factory=dict)


class Scenario(Schema):
    arm: str
    name: str
    strength: float
    accuracy: float | None
    ci_low: float | None
    ci_high: float | None
    n: Count


class GanTest(Schema):
    accuracy: Interval
    n: Count
    label_agreement: dict[str, CountedInterval]


class TrialProtocol(Schema):
    seeds: list[int]
    endpoint: str
    minimum_difference: float
    ratios: list[float]
    shares: list[float]
    augmentations: dict[str, str]
    tail: list[str] | None
    baseline: str | None
    scenarios: list[str]
    strengths: list[float]
    arms: list[str]
    steps: Count
    source: Literal["sampler", "folder"]
    choices: list[str]
    units: str
    judge: dict[str, Any] | None = None
    tail_margin: float | None = None
    correction: str = "none"
    chosen_by: str | None = None
    classifiers: dict[str, Any] = Field(default_factory=dict)


class Trial(Schema):
    protocol: TrialProtocol
    arms: list[TrialArm]
    ratio_curve: list[RatioPoint]
    learning_curve: list[LearningPoint]
    convergence: dict[str, list[Step]]
    skipped: list[Skipped]
    tail: Tail | None
    test_images: dict[str, Count]
    scenarios: list[Scenario]
    gan_test: GanTest | None = None
