"""The arms of a trial: what each one's classifier learns from, and where synthetic images come
from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from synthgen.evaluation.classifiers.base import Augment, TrainingRecipe
from synthgen.evaluation.trial.schema import ArmKind, Source
from synthgen.ranges import MAX_PLAN_SEED
from synthgen.samplers.base import Sampler
from synthgen.seeds import Stream, row_seeds, step_generator
from synthgen.types import LabelledImages

# Where a trial's synthetic images come from: fresh draws for each seed, or one fixed folder.

REPETITIONS_APART = 1_009  # plan seeds of different trials stay apart from each other's repetitions


class SyntheticSource(Protocol):
    """Labelled images for the ``repetition``-th seed of every arm. Of the same repetition a smaller
    set is a part of a larger one, so that ratios are compared on nested sets."""

    kind: Source
    most: int  # images that one repetition can have

    def draw(self, count: int, repetition: int) -> LabelledImages: ...


class FreshDraws:
    """New images from a sampler for each repetition, so that the luck of the draw is in the trial's
    interval.

    ``counts`` are class counts whose proportions the draws keep; ``most`` images are drawn at once
    and kept until another repetition is asked for. ``seed`` fixes all draws.
    """

    kind: Source = "sampler"

    def __init__(self, sampler: Sampler, counts: Sequence[int], *, most: int, seed: int) -> None:
        self.sampler = sampler
        self.counts = list(counts)
        self.most = most
        self.seed = seed
        self._pool: tuple[int, LabelledImages] | None = None

    def draw(self, count: int, repetition: int) -> LabelledImages:
        if self._pool is None or self._pool[0] != repetition:
            self._pool = repetition, self._draw_pool(repetition)
        return first_of_each_class(self._pool[1], self.counts, count)

    def _draw_pool(self, repetition: int) -> LabelledImages:
        quotas = proportional(self.counts, self.most)
        labels = torch.arange(len(quotas)).repeat_interleave(torch.tensor(quotas))
        seed = (self.seed * REPETITIONS_APART + repetition) % MAX_PLAN_SEED
        drawn = self.sampler.sample(labels, row_seeds(seed, 0, len(labels)))
        return LabelledImages(drawn.images, drawn.labels, self.sampler.image.classes)


class FixedFolder:
    """Always the images of one folder: a smaller set is another random part of it for each
    repetition. What is found holds for this folder only."""

    kind: Source = "folder"

    def __init__(self, images: LabelledImages, *, seed: int) -> None:
        self.images = images
        self.most = len(images)
        self.seed = seed

    def draw(self, count: int, repetition: int) -> LabelledImages:
        order = torch.randperm(
            len(self.images), generator=step_generator(self.seed, repetition, Stream.SUBSET)
        )
        return first_of_each_class(self.images.subset(order), self.images.counts, count)


def copies_of(
    real: LabelledImages, counts: Sequence[int], generator: torch.Generator
) -> LabelledImages:
    """``counts`` copies of each class's own images, each as often as the others, but for the last
    round, whose images are drawn. A class without images has no copies."""
    order = torch.randperm(len(real), generator=generator)
    labels = real.labels[order]
    found = []
    for label, count in enumerate(counts):
        mine = order[labels == label]
        found.append(mine.repeat(-(-count // max(len(mine), 1)))[:count])
    return real.subset(torch.cat(found))


def first_of_each_class(
    images: LabelledImages, counts: Sequence[int], count: int
) -> LabelledImages:
    """``count`` images in the proportions of ``counts``: the first ones of each class."""
    quotas = torch.tensor(proportional(counts, count))
    return images.subset(rank_in_class(images.labels, len(counts)) < quotas[images.labels])


def rank_in_class(labels: Tensor, classes: int) -> Tensor:
    """int64 ``(N,)``: how many images of the same class come before each one."""
    rank = torch.empty_like(labels)
    for label in range(classes):
        mine = labels == label
        rank[mine] = torch.arange(int(mine.sum()))
    return rank


def proportional(counts: Sequence[int], total: int) -> list[int]:
    """``total`` shared out in proportion to ``counts`` (Sainte-Laguë); ties go to the class that
    comes first.

    Unlike with largest remainders no class ever gets fewer of a larger total, so sets are nested;
    up to ``sum(counts)`` none gets more than its count.
    """
    times, rest = divmod(total, sum(counts))
    places = torch.cat([(torch.arange(n, dtype=torch.float64) + 0.5) / max(n, 1) for n in counts])
    owners = torch.arange(len(counts)).repeat_interleave(torch.tensor(list(counts)))
    first = owners[places.argsort(stable=True)[:rest]]
    extra = torch.bincount(first, minlength=len(counts)).tolist()
    return [times * count + more for count, more in zip(counts, extra, strict=True)]


REAL, SYNTHETIC = "real_only", "synthetic_only"
OVERSAMPLING, CLASS_WEIGHTS, MIXUP = "oversampling", "class_weights", "mixup"
LOGIT_ADJUSTMENT, THRESHOLDS = "logit_adjustment", "tuned_thresholds"
POST_HOC = (LOGIT_ADJUSTMENT, THRESHOLDS)  # real only with its decisions moved; no training
AUGMENTED, COMBINED = "augmentation", "real_and_synthetic"
AUGMENTED_COMBINED, PRETRAINED = "augmentation_and_synthetic", "pretrained_on_synthetic"
BASELINE, COMBINED_BASELINE, FRACTION = "baseline_only", "real_and_baseline", "real_share"
COPIES = "real_and_copies"  # of real images, in place of the synthetic ones
OPTIONAL = (  # families of arms that a trial can do without
    OVERSAMPLING,
    CLASS_WEIGHTS,
    MIXUP,
    LOGIT_ADJUSTMENT,
    THRESHOLDS,
    AUGMENTED,
    SYNTHETIC,
    AUGMENTED_COMBINED,
    PRETRAINED,
    BASELINE,
    COMBINED_BASELINE,
)
MIXUP_ALPHA = 0.2  # Zhang et al. 2018 use 0.1 to 0.4 on ImageNet
MOVED = 1.25  # times a class's share that is another share


@dataclass(frozen=True)
class Arm:
    """One way to train. ``lesson(repetition)`` is what the classifier of that seed learns from;
    ``label`` names it for people, ``ratio`` is synthetic per real image."""

    name: str
    label: str
    kind: ArmKind
    recipe: Callable[[int], TrainingRecipe]
    n_real: int
    n_synthetic: int = 0
    ratio: float | None = None


def family_of(name: str) -> str | None:
    """The optional family that an arm belongs to: ``augmentation_light`` to ``augmentation``."""
    families = [family for family in OPTIONAL if name == family or name.startswith(f"{family}_")]
    return max(families, key=len, default=None)


@dataclass(frozen=True)
class Ingredients:
    """What arms are made of. ``baseline`` is a generator that needs no training, by name."""

    real: LabelledImages
    synthetic: SyntheticSource
    n_synthetic_only: int
    augmentations: Mapping[str, Augment]
    baseline: tuple[str, SyntheticSource] | None
    seed: int

    def combined(self, source: SyntheticSource, ratio: float, repetition: int) -> LabelledImages:
        """All real images and ``ratio`` times as many synthetic ones."""
        return join(self.real, source.draw(round(ratio * len(self.real)), repetition))


def join(first: LabelledImages, second: LabelledImages) -> LabelledImages:
    return LabelledImages(
        torch.cat([first.images, second.images]),
        torch.cat([first.labels, second.labels]),
        first.classes,
    )


def opening_arms(given: Ingredients, ratios: Sequence[float], shares: Sequence[float]) -> list[Arm]:
    """Every arm that depends on no choice; among some of them the holdout will choose.

    ``ratios`` are synthetic per real image; ``shares`` of the real images make the learning curve.
    """
    synthetic_only = Arm(
        SYNTHETIC,
        "synthetic only",
        "synthetic",
        lambda k: TrainingRecipe(data=given.synthetic.draw(given.n_synthetic_only, k)),
        n_real=0,
        n_synthetic=given.n_synthetic_only,
    )
    return [
        real_only(given.real),
        *cheap_arms(given),
        synthetic_only,
        *(combined_arm(given, ratio) for ratio in ratios),
        *(fraction_arm(given, share) for share in shares),
    ]


def real_only(real: LabelledImages) -> Arm:
    return Arm(REAL, "real only", "real", lambda _: TrainingRecipe(data=real), n_real=len(real))


def post_hoc_arm(name: str, real: LabelledImages) -> Arm:
    """What of ``real_only`` is left as it was: all but the decisions."""
    labels = {
        LOGIT_ADJUSTMENT: "real + logit adjustment",
        THRESHOLDS: "real + tuned thresholds",
    }
    return Arm(name, labels[name], "cheap", lambda _: TrainingRecipe(data=real), n_real=len(real))


def cheap_arms(given: Ingredients) -> list[Arm]:
    """What costs no generator: resampling, weights, mixup, and each strength of augmentation."""
    real, n = given.real, len(given.real)
    weights = inverse_frequency(real)
    arms = [
        Arm(
            OVERSAMPLING,
            "real + oversampling",
            "cheap",
            lambda _: TrainingRecipe(data=real, sampling_weights=weights[real.labels]),
            n_real=n,
        ),
        Arm(
            CLASS_WEIGHTS,
            "real + class weights",
            "cheap",
            lambda _: TrainingRecipe(data=real, class_weights=weights),
            n_real=n,
        ),
        Arm(
            MIXUP,
            "real + mixup",
            "cheap",
            lambda _: TrainingRecipe(data=real, mixup=MIXUP_ALPHA),
            n_real=n,
        ),
    ]
    return arms + [
        augmented_arm(real, name, augment) for name, augment in given.augmentations.items()
    ]


def augmented_arm(real: LabelledImages, name: str, augment: Augment) -> Arm:
    return Arm(
        f"{AUGMENTED}_{name}",
        f"real + classic augmentation ({name})",
        "cheap",
        lambda _: TrainingRecipe(data=real, augment=augment),
        n_real=len(real),
    )


def combined_arm(given: Ingredients, ratio: float) -> Arm:
    return Arm(
        f"{COMBINED}_{ratio:g}",
        f"real + {ratio:g} × synthetic",
        "combined",
        lambda k: TrainingRecipe(data=given.combined(given.synthetic, ratio, k)),
        n_real=len(given.real),
        n_synthetic=round(ratio * len(given.real)),
        ratio=ratio,
    )


def fraction_arm(given: Ingredients, share: float) -> Arm:
    """A part of the real images, another one for each repetition: a point of the learning curve."""
    real, count = given.real, round(share * len(given.real))

    def recipe(repetition: int) -> TrainingRecipe:
        order = torch.randperm(
            len(real), generator=step_generator(given.seed, repetition, Stream.FRACTION)
        )
        return TrainingRecipe(data=first_of_each_class(real.subset(order), real.counts, count))

    name = f"{FRACTION}_{share:g}"
    return Arm(name, f"{share:g} of the real images", "fraction", recipe, n_real=count)


def closing_arms(given: Ingredients, ratio: float, augmentation: str | None) -> list[Arm]:
    """The arms that use what the holdout chose: the ratio, and the strength of augmentation."""
    n_real, n_synthetic = len(given.real), round(ratio * len(given.real))
    arms = [
        Arm(
            PRETRAINED,
            f"pre-trained on {ratio:g} × synthetic, then real",
            "combined",
            lambda k: TrainingRecipe(
                data=given.real, pretrain=given.synthetic.draw(n_synthetic, k)
            ),
            n_real,
            n_synthetic,
            ratio,
        )
    ]
    if augmentation is not None:
        augment = given.augmentations[augmentation]
        arms.append(
            Arm(
                AUGMENTED_COMBINED,
                f"real + {ratio:g} × synthetic + classic augmentation",
                "combined",
                lambda k: TrainingRecipe(
                    data=given.combined(given.synthetic, ratio, k), augment=augment
                ),
                n_real,
                n_synthetic,
                ratio,
            )
        )
    return arms + (baseline_arms(given, ratio) if given.baseline else [])


def baseline_arms(given: Ingredients, ratio: float) -> list[Arm]:
    """The same with a generator that needs no training; in real + baseline it is a cheap arm."""
    assert given.baseline is not None
    name, source = given.baseline
    n_real, n_both = len(given.real), round(ratio * len(given.real))
    return [
        Arm(
            BASELINE,
            f"{name} only",
            "baseline",
            lambda k: TrainingRecipe(data=source.draw(given.n_synthetic_only, k)),
            n_real=0,
            n_synthetic=given.n_synthetic_only,
        ),
        Arm(
            COMBINED_BASELINE,
            f"real + {ratio:g} × {name}",
            "cheap",
            lambda k: TrainingRecipe(data=given.combined(source, ratio, k)),
            n_real,
            n_both,
            ratio,
        ),
    ]


def copies_arm(given: Ingredients, ratio: float) -> Arm:
    """Copies of real images in place of the synthetic ones, as many of each class: what other
    shares of the classes do by themselves. The synthetic images are worth what they do beyond."""

    def recipe(repetition: int) -> TrainingRecipe:
        drawn = given.synthetic.draw(round(ratio * len(given.real)), repetition)
        generator = step_generator(given.seed, repetition, Stream.COPIES)
        return TrainingRecipe(data=join(given.real, copies_of(given.real, drawn.counts, generator)))

    label = f"real + {ratio:g} × copies of real images"
    return Arm(COPIES, label, "control", recipe, n_real=len(given.real), ratio=ratio)


def moves_shares(real: LabelledImages, added: LabelledImages) -> bool:
    """Whether a class has another share of both together than of ``real`` alone, by a quarter."""
    before = torch.tensor(real.counts, dtype=torch.float64)
    after = before + torch.tensor(added.counts, dtype=torch.float64)
    shares, moved = before / before.sum(), after / after.sum()
    return bool(((moved > MOVED * shares) | (shares > MOVED * moved)).any())


def inverse_frequency(real: LabelledImages) -> Tensor:
    """float32 ``(K,)``: N / (K · images of the class); 0 for a class without images."""
    counts = torch.tensor(real.counts, dtype=torch.float32)
    return torch.where(counts > 0, len(real) / (len(counts) * counts.clamp_min(1)), 0.0)
