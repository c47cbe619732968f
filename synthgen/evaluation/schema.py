"""What an evaluation finds, as the report keeps it: made, written and read through these models.

Every share lies in 0..1, every difference is one of shares (0.01: a point), intervals are 95 %.
``None`` is what couldn't be said; the rest of the report tells why.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from synthgen.dataset.origin import Recipe
from synthgen.schema import Schema
from synthgen.stats import Estimate

Count = Annotated[int, Field(ge=0)]
Scope = dict[str, str]  # {"class": name}


class Interval(Schema):
    value: float | None
    ci_low: float | None
    ci_high: float | None

    @classmethod
    def of(cls, estimate: Estimate) -> Interval:
        return Interval(value=estimate.value, ci_low=estimate.low, ci_high=estimate.high)


class CountedInterval(Interval):
    """``n``: the images that it rests on."""

    n: Count

    @classmethod
    def counted(cls, estimate: Estimate, n: int) -> CountedInterval:
        return cls(value=estimate.value, ci_low=estimate.low, ci_high=estimate.high, n=n)


class Result(Interval):
    """One number, identified by (name, extractor, classifier, scope).

    ``scope`` is None or ``{"class": name}``; value and interval (95 %) are None when there were too
    few images to say; ``seconds`` is wall-clock time. ``label`` is the metric's own, None where the
    name's last part says it. ``settings`` holds what a metric took from the real images (MMD: its
    kernel's ``bandwidth``); KID of sets drawn class by class has the published estimator's value
    there, ``plain``.
    """

    name: str
    label: str | None = None
    extractor: str | None
    classifier: str | None
    scope: Scope | None
    n_real: Count
    n_fake: Count
    higher_is_better: bool
    seconds: float
    settings: dict[str, float] | None = None


class Reference(Result):
    """The same number of a control; ``note`` says what it is made of."""

    reference: str
    note: str


class Confusion(Schema):
    """``matrix[true][said]``, or with many classes ``cells`` of [true, said, images]."""

    classes: list[str]
    matrix: list[list[int]] | None = None
    cells: list[list[int]] | None = None


class TransferStep(Schema):
    step: Count
    accuracy_holdout: float


class TrainingLog(Schema):
    columns: list[str]
    rows: list[list[float | None]]


class Curves(Schema):
    transfer: dict[str, list[TransferStep]]
    training: TrainingLog | None


class NeighbourRow(Schema):
    """The synthetic image of a class that lies nearest to a training image."""

    label: Annotated[str, Field(alias="class")]
    distance: float
    median_real_distance: float | None


class Neighbours(Schema):
    extractor: str
    figure: str | None = None
    rows: tuple[NeighbourRow, ...] = ()
    searched: Count
    share_closer_than_median_real: float


class Figure(Schema):
    file: str
    kind: str
    caption: str
    label: Annotated[str | None, Field(alias="class")] = None
    extractor: str | None = None


class CopiedPair(Schema):
    """Positions in the set and in the training images."""

    synthetic: Count
    train: Count
    distance: float
    ratio: float


class TwinCounts(Schema):
    """Synthetic images that equal a training image pixel for pixel, of ``images``; the training
    images that they equal, without repetitions; and held-back real images that equal one.
    ``flagged`` if real images that nobody trained on have no such twins, or far fewer."""

    copies: Count
    flagged: bool
    held_back: Count
    images: Count
    sources: Count


class CopiesOfReference(Schema):
    near_copies: Count
    p: float
    flagged: bool


class Power(Schema):
    """The fewest copies of a kind that are flagged in 80 and in 95 of 100 sets; None: not even if
    all images were such copies."""

    mostly: Annotated[Count | None, Field(alias="0.8")]
    nearly_always: Annotated[Count | None, Field(alias="0.95")]


class Copying(Schema):
    """What one feature space shows of copies; ``power`` by kind of copy."""

    sentence: str
    flagged: bool
    exact_copies: Count
    near_copies: Count
    p: float
    threshold: float
    searched: Count
    searched_train: Count
    n_reference: Count
    pairs: tuple[CopiedPair, ...] = ()
    n_holdout: Count | None = None
    searched_exact: Count | None = None
    different: Count | None = None
    unmistakable: Count | None = None
    power: dict[str, Power] | None = None
    twins: TwinCounts | None = None
    of_reference: CopiesOfReference | None = None
    share_nearer_train: CountedInterval | None = None
    share_nearer_train_real: CountedInterval | None = None
    auth_pct: CountedInterval | None = None
    auth_pct_real: CountedInterval | None = None


class StatisticTest(Schema):
    """How one statistic differs between the two sets.

    Attributes:
        effect: (mean fake - mean real) / pooled standard deviation; None if nothing varies.
        ks: Kolmogorov-Smirnov's D, 0 (same distribution) .. 1 (no overlap), and its p.
        wasserstein: 1-Wasserstein distance in the statistic's own unit.
        p_adjusted: Holm's, over the whole family; p_bh: Benjamini and Hochberg's.
        variance_share: of a principal component.
    """

    statistic: str
    real_mean: float
    fake_mean: float
    real_sd: float
    fake_sd: float
    effect: float | None
    size: str
    ks: float
    wasserstein: float
    p: float
    p_adjusted: float
    p_bh: float
    variance_share: float | None = None


class LabelTest(Schema):
    chi2: float | None
    p: float | None
    degrees: Count | None
    total_variation: float
    n_real: Count
    n_fake: Count
    balanced: bool
    missing: list[str]


class TwoSample(Schema):
    """All None for too few images."""

    accuracy: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    n: Count
    space: str


class Statistics(Schema):
    image: list[StatisticTest]
    features: dict[str, list[StatisticTest]]
    labels: LabelTest | None
    two_sample: TwoSample | None
    sentence: list[str]
    n_real: Count
    n_fake: Count
    at_most: Count | None = None
    correction: str | None = None


class Group(Schema):
    """Recall of a class, or of images that share an attribute, without and with the synthetic
    images."""

    name: str
    n: Count
    before: Interval
    after: Interval
    difference: Interval
    coverage: CountedInterval | None = None


class WorstGroup(Group):
    """Picked as the worst, so ``together`` is its interval over all that it was picked from."""

    gap_before: float | None = None
    gap_after: float | None = None
    gap_by_chance: float | None = None
    others: float | None = None
    clear: bool | None = None
    together: Interval | None = None


class Fairness(Schema):
    sentences: list[str]
    by_class: list[Group]
    by_group: list[Group]
    worst_class: WorstGroup | None
    worst_group: WorstGroup | None = None
    coverage_extractor: str | None = None


class ClassifierDescription(Schema):
    """What a classifier is and how it is trained; one of your own may say more."""

    name: str
    network: str
    steps: Count
    batch_size: Count | None
    optimizer: str
    augmentation: str
    precision: str
    device: str


class ClassifierProtocol(ClassifierDescription):
    seeds: Count
    training: str


class Protocol(Schema):
    judge: ClassifierProtocol
    extractors: dict[str, dict[str, object]]
    metrics: str
    intervals: str
    counts: str
    controls: str
    reference_split: str
    held_back_split: str = "holdout"
    seed: int
    split_notes: tuple[str, ...] = ()


class RealData(Schema):
    name: str
    digest: str
    recipe: Recipe
    counts: dict[str, dict[str, Count]]


class SyntheticData(Schema):
    path: str
    digest: str
    counts: dict[str, Count]
    dataset: dict[str, Any] | None  # its description, as it was


class Hardware(Schema):
    machine: str | None = None
    instructions: str | None = None
    cores: Count | None = None
    threads: Count | None = None
    gpu: str | None = None


class Provenance(Schema):
    data: RealData
    synthetic: SyntheticData
    exact_copies: dict[str, Count]
    config: dict[str, object] | None
    versions: dict[str, str]
    hardware: Hardware
