"""The paired utility trial: did the synthetic images help on real test data, and is that luck?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers.base import HOLDOUT, Augment, Classifier
from synthgen.evaluation.classifiers.scores import Criterion, value_of
from synthgen.evaluation.features.base import Extractor
from synthgen.evaluation.trial.arms import (
    AUGMENTED,
    AUGMENTED_COMBINED,
    BASELINE,
    COMBINED_BASELINE,
    FRACTION,
    LOGIT_ADJUSTMENT,
    OPTIONAL,
    POST_HOC,
    REAL,
    THRESHOLDS,
    Arm,
    Ingredients,
    SyntheticSource,
    closing_arms,
    copies_arm,
    family_of,
    moves_shares,
    opening_arms,
    post_hoc_arm,
)
from synthgen.evaluation.trial.corrections import (
    CORRECTIONS,
    Correction,
    logit_adjustment,
    shifted,
    tuned,
)
from synthgen.evaluation.trial.endpoints import (
    TAIL_RECALL,
    choosing_score,
    declared_endpoint,
    endpoint_score,
    is_imbalanced,
    other_classes,
    require_endpoint,
    tail_labels,
    threshold_score,
)
from synthgen.evaluation.trial.robustness import require_corruptions
from synthgen.evaluation.trial.runner import (
    ArmRunner,
    Trained,
    TrialStore,
    corrected,
    possible_arms,
)
from synthgen.evaluation.trial.schema import TrialOptions
from synthgen.ranges import Few, Inner, Positive, Share
from synthgen.types import LabelledImages

# What the holdout chooses; the test split is not looked at here.


@dataclass(frozen=True)
class Choices:
    """What the holdout chose, by the mean over seeds."""

    ratio: float
    augmentation: str | None  # the name of its strength
    tied_ratios: int = 1  # that were as good on the holdout, the chosen one among them
    tied_augmentations: int = 1


def choose(
    arms: Mapping[str, Trained], score: Criterion, splits: Splits, augmentations: Sequence[str]
) -> Choices:
    """The ratio and the strength of augmentation with the best mean holdout score; of equals the
    first, which is the least."""
    ratios = {
        trained.arm.ratio: holdout_score(trained, score, splits)
        for trained in arms.values()
        if trained.arm.kind == "combined" and trained.arm.ratio is not None
    }
    strengths = {
        name: holdout_score(arms[f"{AUGMENTED}_{name}"], score, splits)
        for name in augmentations
        if f"{AUGMENTED}_{name}" in arms
    }
    return Choices(
        ratio=max(ratios, key=ratios.__getitem__),
        augmentation=max(strengths, key=strengths.__getitem__) if strengths else None,
        tied_ratios=tied(list(ratios.values())),
        tied_augmentations=tied(list(strengths.values())),
    )


def tied(scores: Sequence[float]) -> int:
    """How many share the best score."""
    return sum(score == max(scores) for score in scores)


def holdout_score(trained: Trained, score: Criterion, splits: Splits) -> float:
    """Mean over seeds on the holdout, of what is chosen by."""
    holdout = splits.holdout
    values = [
        value_of(score, holdout.labels, answers, len(holdout.classes))
        for answers in trained.answers(HOLDOUT)
    ]
    return float(torch.stack(values).mean())


TRIAL_SEEDS = 2_000_003  # keeps the trial's classifiers apart from other seeds of the same run
TEST = "test"
FEWEST_SEEDS = 2
MOST_TUNED = 100  # classes whose thresholds are tuned


@dataclass(frozen=True)
class Outcome:
    """All trainings of a trial by arm name, in order, before anything is compared on the test
    split."""

    arms: dict[str, Trained]
    choices: Choices
    skipped: dict[str, str]  # arm -> reason
    score: Criterion  # the endpoint's
    choosing: Criterion  # what the holdout chose by
    tail: list[int]
    steps: int
    seeds: list[int]
    endpoint: str
    margin: float  # how far the other classes' mean recall may fall for tail_recall


class Trial:
    """What a trial consists of; ``run`` trains all arms.

    Args:
        seeds: classifiers per arm; seed k starts all arms from the same weights and, with a
            sampler, has its own draw of synthetic images.
        endpoint: what the verdict is about: a score, or ``tail_recall``; None: macro F1, or macro
            average precision where a class has at most half the images of the largest.
        tail_margin: how far the mean recall of the other classes may fall while ``tail_recall``
            rises. Both intervals are needed for "helped".
        correction: what all arms' answers are corrected by: nothing, or the shares of the classes
            among each arm's own images (post-hoc logit adjustment).
        minimum_difference: the smallest difference on the endpoint that would matter to the person.
        ratios: synthetic images per real one; the holdout chooses one for all seeds.
        shares: parts of the real images for the learning curve.
        augmentations: strengths of classic augmentation by name; the holdout chooses one.
        tail: classes whose recall ``tail_recall`` averages; None: the rare ones.
        baseline: name of a sampler that needs no training, to compare with; None: none.
        scenarios: corruptions of the test images by name, each at ``strengths``.
        arms: which arms there are beside real only and real + synthetic.
        classifiers: finished ones of the person's own by name, asked about the scenarios too;
            their features are logits in the order of the classes.
    """

    def __init__(
        self,
        *,
        seeds: Few = 5,
        endpoint: str | None = None,
        tail_margin: Share = 0.02,
        correction: Correction = "none",
        minimum_difference: Share = 0.01,
        ratios: Sequence[Positive] = (0.25, 0.5, 1.0, 2.0, 4.0),
        shares: Sequence[Inner] = (0.0625, 0.125, 0.25, 0.5),
        augmentations: Mapping[str, Augment] | None = None,
        tail: Sequence[str] | None = None,
        baseline: Literal["pca_gaussian"] | None = "pca_gaussian",
        scenarios: Sequence[str] = (),
        strengths: Sequence[Share] = (0.25, 0.5, 0.75, 1.0),
        arms: Sequence[str] = OPTIONAL,
        classifiers: Mapping[str, Extractor] | None = None,
    ) -> None:
        if seeds < FEWEST_SEEDS:
            raise ValueError(f"seeds is {seeds}, but a paired trial needs {FEWEST_SEEDS} at least")
        if not ratios or any(not 0 < ratio < math.inf for ratio in ratios):
            raise ValueError("ratios must be one or more numbers above 0")
        if any(not 0 < share < 1 for share in shares):
            raise ValueError("shares must lie between 0 and 1")
        if any(not 0 <= strength <= 1 for strength in strengths):
            raise ValueError("strengths must lie between 0 and 1")
        unknown = [name for name in arms if name not in OPTIONAL]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not an arm; there are {', '.join(OPTIONAL)}")
        if not 0 <= tail_margin <= 1:
            raise ValueError("tail_margin must lie between 0 and 1")
        if correction not in CORRECTIONS:
            raise ValueError(f"correction must be one of {', '.join(CORRECTIONS)}")
        if not 0 <= minimum_difference <= 1:
            raise ValueError("minimum_difference must lie between 0 and 1")
        require_endpoint(endpoint)
        require_corruptions(scenarios)
        self.seeds = seeds
        self.endpoint = endpoint
        self.tail_margin = tail_margin
        self.correction: Correction = correction
        self.minimum_difference = minimum_difference
        self.ratios = sorted(set(ratios))
        self.shares = sorted(set(shares))
        self.augmentations = dict(augmentations or {})
        self.tail = tail
        self.baseline = baseline
        self.scenarios = list(scenarios)
        self.strengths = sorted(set(strengths))
        self.arms = [name for name in OPTIONAL if name in arms]
        self.classifiers = dict(classifiers or {})
        if self.classifiers and not self.scenarios:
            raise ValueError("classifiers are asked about scenarios, and there are none")

    def options(self) -> TrialOptions:
        """What was asked for, beside seeds and endpoint."""
        return TrialOptions(
            tail_margin=self.tail_margin,
            correction=self.correction,
            minimum_difference=self.minimum_difference,
            ratios=self.ratios,
            shares=self.shares,
            augmentations={name: repr(one) for name, one in self.augmentations.items()},
            tail=list(self.tail) if self.tail is not None else None,
            baseline=self.baseline,
            scenarios=self.scenarios,
            strengths=self.strengths,
            arms=self.arms,
            classifiers={name: one.describe() for name, one in self.classifiers.items()},
        )

    def run(
        self,
        splits: Splits,
        synthetic: SyntheticSource,
        *,
        n_synthetic_only: int,
        classifier: Classifier,
        baseline: SyntheticSource | None,
        exams: Mapping[str, Tensor],
        seed: int,
        store: TrialStore | None = None,
    ) -> Outcome:
        """Train every arm with every seed; the test images are predicted, nothing is scored on
        them.

        Args:
            synthetic: gives each seed its synthetic images.
            n_synthetic_only: images of the arm without real ones.
            baseline: the same of a simple sampler; None: no such arm.
            exams: further uint8 images ``(N, C, H, W)`` that each classifier predicts, by name.
            store: trainings that it holds are not repeated.
        """
        tail = tail_labels(splits.train, self.tail)
        endpoint = declared_endpoint(self.endpoint, splits.train)
        score, choosing = endpoint_score(endpoint, tail), choosing_score(endpoint, tail)
        if endpoint == TAIL_RECALL:
            other_classes(tail, splits.test.labels, splits.test.classes)
        given = Ingredients(
            real=splits.train,
            synthetic=synthetic,
            n_synthetic_only=min(n_synthetic_only, synthetic.most),
            augmentations=self.augmentations,
            baseline=(self.baseline, baseline) if self.baseline and baseline else None,
            seed=seed,
        )
        runner = ArmRunner(
            classifier,
            splits,
            {TEST: splits.test.images, **exams},
            classifier.steps_for(splits.train),
            [seed * TRIAL_SEEDS + number for number in range(self.seeds)],
            choosing,
            store,
        )
        ratios, skipped = self._possible_ratios(synthetic, len(splits.train))
        shares, too_small = self._possible_shares(splits)
        opening, impossible = possible_arms(
            classifier, self._wanted(opening_arms(given, ratios, shares)), splits.train
        )
        arms = runner.teach(opening, "arms known beforehand")
        arms |= self._post_hoc(arms[REAL], splits, endpoint, runner.seeds)
        choices = choose(arms, choosing, splits, list(self.augmentations))
        closing, also_impossible = possible_arms(
            classifier,
            self._wanted(
                [
                    *self._control(given, ratios, choices.ratio),
                    *closing_arms(given, choices.ratio, choices.augmentation),
                ]
            ),
            splits.train,
        )
        arms |= runner.teach(closing, "arms that build on the choices")
        return Outcome(
            arms=arms,
            choices=choices,
            skipped=skipped | too_small | impossible | also_impossible | self._unmade(given),
            score=score,
            choosing=choosing,
            tail=tail,
            steps=runner.steps,
            seeds=runner.seeds,
            endpoint=endpoint,
            margin=self.tail_margin,
        )

    def _wanted(self, arms: Sequence[Arm]) -> list[Arm]:
        wanted = [arm for arm in arms if family_of(arm.name) in (None, *self.arms)]
        return [corrected(arm, self.correction) for arm in wanted]

    def _control(self, given: Ingredients, ratios: Sequence[float], ratio: float) -> list[Arm]:
        """Copies of real images at the chosen ratio, if the synthetic ones move any class's
        share."""
        added = given.synthetic.draw(round(max(ratios) * len(given.real)), 0)
        return [copies_arm(given, ratio)] if moves_shares(given.real, added) else []

    def _post_hoc(
        self, real: Trained, splits: Splits, endpoint: str, seeds: Sequence[int]
    ) -> dict[str, Trained]:
        """Real only with its decisions moved: the same trainings, so they cost nothing."""
        unmade = self._no_post_hoc(splits.train)
        offsets = logit_adjustment(real.arm.recipe(0))
        found = {}
        for name in POST_HOC:
            if name not in self.arms or name in unmade:
                continue
            moved = [
                shifted(one, offsets)
                if name == LOGIT_ADJUSTMENT
                else tuned(one, splits.holdout.labels, threshold_score(endpoint), seed)
                for one, seed in zip(real.examinations, seeds, strict=True)
            ]
            found[name] = Trained(post_hoc_arm(name, splits.train), moved)
        return found

    def _no_post_hoc(self, real: LabelledImages) -> dict[str, str]:
        if not is_imbalanced(real):
            none = "the classes are about equally large: there is no preference to take away"
            return {LOGIT_ADJUSTMENT: none, THRESHOLDS: none}
        if len(real.classes) > MOST_TUNED:
            many = f"a threshold for each of more than {MOST_TUNED} classes takes too long to tune"
            reasons = {THRESHOLDS: many}
        else:
            reasons = {}
        if self.correction == "logit_adjustment":
            reasons |= {LOGIT_ADJUSTMENT: "every arm is adjusted (trial.correction)"}
        return reasons

    def _possible_ratios(
        self, synthetic: SyntheticSource, n_real: int
    ) -> tuple[list[float], dict[str, str]]:
        """The ratios that there are enough images for, and a reason for each of the others."""
        enough = [ratio for ratio in self.ratios if round(ratio * n_real) <= synthetic.most]
        if not enough:
            raise SynthgenError(
                f"The set has {synthetic.most:,} synthetic images, too few for a ratio of "
                f"{self.ratios[0]:g} to {n_real:,} real ones.\nDraw more, give the sampler itself "
                f"(sampler=RUN), or replace the ratios: "
                f"trial.ratios=[{at_most(synthetic.most / n_real)}]"
            )
        return enough, {
            f"real_and_synthetic_{ratio:g}": f"needs {round(ratio * n_real):,} synthetic images; "
            f"the set has {synthetic.most:,}"
            for ratio in self.ratios
            if ratio not in enough
        }

    def _possible_shares(self, splits: Splits) -> tuple[list[float], dict[str, str]]:
        """The shares that can hold an image of each class, and a reason for each of the others."""
        n_real, classes = len(splits.train), len(splits.train.classes)
        few = [share for share in self.shares if round(share * n_real) < classes]
        return [share for share in self.shares if share not in few], {
            f"{FRACTION}_{share:g}": f"{share:g} of {n_real:,} real images are fewer than the "
            f"{classes} classes"
            for share in few
        }

    def _unmade(self, given: Ingredients) -> dict[str, str]:
        """A reason for each family of arms that was asked for but has nothing to be made of."""
        reasons = self._no_post_hoc(given.real)
        if not given.augmentations:
            none = "trial.augmentations is empty"
            reasons |= {AUGMENTED: none, AUGMENTED_COMBINED: none}
        if given.baseline is None:
            name = self.baseline
            none = f"{name} can't be fitted to these images" if name else "trial.baseline is null"
            reasons |= {BASELINE: none, COMBINED_BASELINE: none}
        return {family: reasons[family] for family in self.arms if family in reasons}


def at_most(ratio: float) -> str:
    """Two digits, rounded down: so that there are images enough for it."""
    unit = 10.0 ** (math.floor(math.log10(ratio)) - 1)
    return f"{math.floor(ratio / unit + 1e-9) * unit:g}"
