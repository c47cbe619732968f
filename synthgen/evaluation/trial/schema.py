"""What a report holds of a trial: written and read through these models.

Every score lies in 0..1, every difference is one of scores (0.01: a point), intervals are 95 %.
``None`` is what couldn't be said.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from synthgen.evaluation.schema import ClassifierDescription, Count, CountedInterval, Interval
from synthgen.schema import Schema

Verdict = Literal["helped", "harmed", "no evidence"]
ArmKind = Literal["real", "cheap", "synthetic", "combined", "baseline", "fraction", "control"]
Bound = Literal["at least", "at most"]
Source = Literal["sampler", "folder"]  # a new draw for each seed, or always the same images


class OtherClasses(Schema):
    """Mean recall of the other classes, which ``tail_recall`` must not cost. They are ``kept`` if
    the whole interval lies above ``-margin`` (non-inferiority), ``lost`` if all of it lies below;
    ``p`` is twice the one-sided p of non-inferiority: below 0.05 exactly where they are kept."""

    difference: float
    ci_low: float
    ci_high: float
    margin: float
    kept: bool
    p: float

    @property
    def lost(self) -> bool:
        return self.ci_high < -self.margin


class Copies(Schema):
    """What copies of real images, class by class as many, leave of the difference. They are
    ``beaten`` if the whole interval lies above 0; ``p`` is below 0.05 exactly where they are."""

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
    """Real images that score as synthetic only does, read off their learning curve, which goes from
    ``fewest`` to ``most``; beyond its ends ``bound`` says on which side the truth lies."""

    images: Count
    ci_low: Count
    ci_high: Count
    bound: Bound | None
    fewest: Count
    most: Count
    explained: str = ""

    @property
    def spans_curve(self) -> bool:
        """Whether the interval reaches from one end of the learning curve to the other."""
        return self.ci_low <= self.fewest and self.ci_high >= self.most


class Adds(Schema):
    """Real images that would have to be added to score as real + synthetic does."""

    images: Count
    ci_low: Count
    ci_high: Count
    extrapolated: bool = True


class RealEquivalent(Schema):
    """Where one is None, ``reason`` says why."""

    replaces: Replaces | None
    adds: Adds | None
    reason: str | None


class HoldoutGap(Schema):
    """What is chosen by, for one arm, on the holdout and on the test images; the interval is of
    their difference. ``far_above``: all of it lies above the smallest difference that matters."""

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
    holdout_gaps: tuple[HoldoutGap, ...] = ()
    sentence: str
    ceiling: str | None = None
    against_best_cheap: Comparison | None
    real_equivalent: RealEquivalent | None = None
    arms: list[Comparison]

    @property
    def primary(self) -> Comparison | None:
        return next((arm for arm in self.arms if arm.primary), None)


class McNemar(Schema):
    """One seed's disagreements: images that only one of two classifiers gets right, and the exact
    two-sided binomial p-value (McNemar 1947). Describes this pair of classifiers on these images;
    says nothing about other seeds, so it is never pooled and never the verdict."""

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
    name: str
    strength: float
    arm: str
    n: Count
    accuracy: float | None
    ci_low: float | None
    ci_high: float | None


class GanTest(Schema):
    accuracy: Interval
    n: Count
    label_agreement: dict[str, CountedInterval]


class TrialOptions(Schema):
    """What a trial was asked for, beside its seeds and its endpoint."""

    tail_margin: float | None = None
    correction: str = "none"
    minimum_difference: float
    ratios: list[float]
    shares: list[float]
    augmentations: dict[str, str]
    tail: list[str] | None
    baseline: str | None
    scenarios: list[str]
    strengths: list[float]
    arms: list[str]
    classifiers: dict[str, object] = Field(default_factory=dict)


class TrialProtocol(TrialOptions):
    """How it was held; ``endpoint`` is what was decided on, asked for or not."""

    seeds: list[int]
    endpoint: str
    chosen_by: str | None = None
    steps: Count
    source: Source
    choices: list[str]
    units: str
    judge: ClassifierDescription | None = None


class TrialIdentity(Schema):
    """All that a finished training depends on: a trial that differs in any of it never goes on with
    the training. ``images`` and ``sampler`` are digests."""

    format: str
    data: str
    images: dict[str, str]
    reference: str
    synthetic: str
    source: Source
    sampler: str | None
    versions: list[str]
    trial: TrialOptions
    seeds: Count
    endpoint: str | None
    judge: ClassifierDescription
    seed: int


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
