"""From finished trainings to the verdict: one primary contrast, all others in one Holm family;
and whether the holdout, by which choices were made, is like the test images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.evaluation.classifiers.base import HOLDOUT
from synthgen.evaluation.classifiers.scores import Criterion, variance_of
from synthgen.evaluation.trial.arms import (
    AUGMENTED,
    AUGMENTED_COMBINED,
    COMBINED,
    COPIES,
    POST_HOC,
    REAL,
    SYNTHETIC,
)
from synthgen.evaluation.trial.contrast import (
    LEVEL,
    Contrast,
    against_copies,
    guarded_p,
    guarded_verdict,
    mean_left_out,
    non_inferiority,
    paired_contrast,
    seed_scores,
)
from synthgen.evaluation.trial.endpoints import (
    BALANCED_ACCURACY,
    FOR_IMBALANCED,
    TAIL_RECALL,
    endpoint_score,
    images_of_endpoint,
    is_imbalanced,
    looks_at_no_threshold,
    mean_recall_of,
    of_classes,
    other_classes,
)
from synthgen.evaluation.trial.runner import Trained
from synthgen.evaluation.trial.schema import Comparison, Copies, HoldoutGap, OtherClasses
from synthgen.evaluation.trial.trial import TEST, Outcome, holdout_score, tied
from synthgen.stats import holm, t_interval

OTHER_ENDPOINTS = ("accuracy", "balanced_accuracy", "macro_f1")


@dataclass(frozen=True)
class Comparisons:
    """All comparisons of a trial, the primary one first; ``best_cheap`` is among them, None if the
    trial has no cheap arm. ``endpoint`` is the primary one's, ``labels`` are the arms' by their
    names."""

    endpoint: str
    primary: Comparison
    secondary: list[Comparison]
    best_cheap: Comparison | None
    labels: Mapping[str, str]
    findable: float  # had been detectable where it was looked for: over the copies if they decided
    tied_cheap: int = 1  # cheap arms that were as good on the holdout, the best among them

    @property
    def every(self) -> list[Comparison]:
        return [self.primary, *self.secondary]


@dataclass(frozen=True, eq=False)
class Pair:
    """A comparison that is yet to be made. ``among``: the test images that its endpoint rests on,
    if not on all; ``guarded``: the classes whose recall must not fall by more than ``margin``;
    ``copies``: the arm that must be beaten too."""

    ours: Trained
    theirs: Trained
    endpoint: str
    score: Criterion
    among: Tensor | None = None
    guarded: Sequence[int] = ()
    margin: float = 0.0
    copies: Trained | None = None


def chosen_arm(outcome: Outcome) -> Trained:
    """Real + synthetic at the ratio that the holdout chose."""
    return outcome.arms[f"{COMBINED}_{outcome.choices.ratio:g}"]


def main_arms(outcome: Outcome) -> dict[str, Trained]:
    """Real only, synthetic only and both, at the chosen ratio: the arms of every report."""
    found = {
        "real_only": outcome.arms[REAL],
        "synthetic_only": outcome.arms.get(SYNTHETIC),
        "real_and_synthetic": chosen_arm(outcome),
    }
    return {name: trained for name, trained in found.items() if trained is not None}


def best_cheap_arm(outcome: Outcome, splits: Splits) -> Trained | None:
    """The cheap arm with the best mean holdout score; of equals the first."""
    cheap = cheap_arms(outcome)
    if not cheap:
        return None
    return max(cheap, key=lambda trained: holdout_score(trained, outcome.choosing, splits))


def cheap_arms(outcome: Outcome) -> list[Trained]:
    """Those that can differ from real only: by ranks, arms that only move decisions can't."""
    return [
        trained
        for name, trained in outcome.arms.items()
        if trained.arm.kind == "cheap" and not only_moves_decisions(name, outcome.endpoint)
    ]


def only_moves_decisions(arm: str, endpoint: str) -> bool:
    return arm in POST_HOC and looks_at_no_threshold(endpoint)


def compared_arms(outcome: Outcome) -> list[Trained]:
    """Arms that are compared on the test split: not real data alone, no part of it, and of the
    strengths of augmentation only the chosen one."""
    passed_over = {
        name
        for name in outcome.arms
        if name.startswith(f"{AUGMENTED}_")
        and name not in (f"{AUGMENTED}_{outcome.choices.augmentation}", AUGMENTED_COMBINED)
    }
    return [
        trained
        for name, trained in outcome.arms.items()
        if trained.arm.kind not in ("real", "fraction") and name not in passed_over
    ]


def compare_arms(outcome: Outcome, splits: Splits, endpoint: str) -> Comparisons:
    """The only place where a trial's test labels decide anything."""
    real, chosen = outcome.arms[REAL], chosen_arm(outcome)
    best_cheap = best_cheap_arm(outcome, splits)

    def pair(ours: Trained, theirs: Trained, name: str = endpoint) -> Pair:
        return pair_of(outcome, splits, ours, theirs, name)

    def own(arm: str) -> str:
        """An arm that only moves decisions is compared where decisions count."""
        return BALANCED_ACCURACY if only_moves_decisions(arm, endpoint) else endpoint

    primary = pair(chosen, real)
    secondary = [
        pair(trained, real, own(trained.arm.name))
        for trained in compared_arms(outcome)
        if trained is not chosen
    ]
    against_cheap = best_cheap and pair(chosen, best_cheap)
    secondary += [against_cheap] if against_cheap else []
    augmented = outcome.arms.get(f"{AUGMENTED}_{outcome.choices.augmentation}")
    if augmented is not None and AUGMENTED_COMBINED in outcome.arms:
        secondary.append(pair(outcome.arms[AUGMENTED_COMBINED], augmented))
    secondary += [pair(chosen, real, other) for other in other_endpoints(endpoint, outcome, splits)]
    if looks_at_no_threshold(endpoint):
        moved = [outcome.arms[name] for name in POST_HOC if name in outcome.arms]
        secondary += [pair(chosen, one, BALANCED_ACCURACY) for one in moved]
    made = [looked_at(pair, splits) for pair in secondary]
    adjusted = holm([guarded_p(*one) for one in made])
    found = [
        comparison(pair, looked, p)
        for pair, looked, p in zip(secondary, made, adjusted, strict=True)
    ]
    main = looked_at(primary, splits)
    cheap = [holdout_score(one, outcome.choosing, splits) for one in cheap_arms(outcome)]
    return Comparisons(
        endpoint=endpoint,
        primary=comparison(primary, main, guarded_p(*main), primary=True),
        secondary=found,
        best_cheap=found[secondary.index(against_cheap)] if against_cheap else None,
        labels={name: trained.arm.label for name, trained in outcome.arms.items()},
        findable=findable(primary, main[0], splits),
        tied_cheap=tied(cheap),
    )


def pair_of(
    outcome: Outcome, splits: Splits, ours: Trained, theirs: Trained, endpoint: str
) -> Pair:
    test, tail = splits.test, outcome.tail
    return Pair(
        ours,
        theirs,
        endpoint,
        endpoint_score(endpoint, tail),
        images_of_endpoint(endpoint, tail, test.labels),
        other_classes(tail, test.labels, test.classes) if endpoint == TAIL_RECALL else (),
        outcome.margin,
        outcome.arms.get(COPIES) if theirs.arm.name == REAL and ours.arm.n_synthetic else None,
    )


def other_endpoints(endpoint: str, outcome: Outcome, splits: Splits) -> list[str]:
    """``tail_recall`` too, if there are rare classes and others whose recall it can cost; with
    classes of unequal sizes also what a moved decision can't raise."""
    rare = set(outcome.tail)
    both = bool(rare) and bool(set(splits.test.labels.tolist()) - rare)
    names = [*OTHER_ENDPOINTS, *([TAIL_RECALL] if both else [])]
    names += [FOR_IMBALANCED] if is_imbalanced(splits.train) else []
    return [name for name in names if name != endpoint]


Looked = tuple[Contrast, OtherClasses | None, Copies | None]


def looked_at(pair: Pair, splits: Splits) -> Looked:
    """The gain, and all that is needed beside it."""
    return contrast_of(pair, splits), others_of(pair, splits), control_of(pair, splits)


def comparison(pair: Pair, looked: Looked, p_adjusted: float, primary: bool = False) -> Comparison:
    """The verdict is the intervals', if the adjusted p agrees; the others' loss, which is harm,
    needs none. The adjusted p of the primary comparison is its own."""
    contrast, others, control = looked
    verdict, arm = guarded_verdict(*looked), pair.ours.arm
    lost = others is not None and others.lost and verdict == "harmed"
    return Comparison(
        name=arm.name,
        label=arm.label,
        against=pair.theirs.arm.name,
        endpoint=pair.endpoint,
        ratio=arm.ratio,
        primary=primary,
        verdict=verdict if lost or p_adjusted < LEVEL else "no evidence",
        difference=contrast.difference,
        ci_low=contrast.ci_low,
        ci_high=contrast.ci_high,
        p=guarded_p(*looked),
        p_adjusted=p_adjusted,
        smallest_detectable=contrast.smallest_detectable,
        others=others,
        control=control,
    )


def findable(pair: Pair, contrast: Contrast, splits: Splits) -> float:
    if pair.copies is None or contrast.verdict != "helped":
        return contrast.smallest_detectable
    over_copies = contrast_of(replace(pair, theirs=pair.copies), splits)
    return max(contrast.smallest_detectable, over_copies.smallest_detectable)


def contrast_of(pair: Pair, splits: Splits) -> Contrast:
    return contrast_by(pair, splits, pair.score, pair.among)


def control_of(pair: Pair, splits: Splits) -> Copies | None:
    """The same arm against copies of real images, where the classes' shares were moved."""
    if pair.copies is None:
        return None
    contrast = contrast_of(replace(pair, theirs=pair.copies), splits)
    return against_copies(contrast, pair.copies.arm.label)


def others_of(pair: Pair, splits: Splits) -> OtherClasses | None:
    """The other classes' contrast, for an endpoint that could be bought with it."""
    if not pair.guarded:
        return None
    among = of_classes(pair.guarded, splits.test.labels)
    contrast = contrast_by(pair, splits, mean_recall_of(pair.guarded), among)
    return non_inferiority(contrast, pair.margin)


def contrast_by(pair: Pair, splits: Splits, score: Criterion, among: Tensor | None) -> Contrast:
    test = splits.test
    return paired_contrast(
        score,
        test.labels,
        pair.ours.answers(TEST),
        pair.theirs.answers(TEST),
        len(test.classes),
        groups=splits.test_groups,
        among=among,
    )


# Is the holdout like the test images? If it is far easier, choices made on it may not hold.


def gap_of(trained: Trained, score: Criterion, splits: Splits, minimum: float) -> HoldoutGap:
    """Of one arm. The images are others, so their variances add up; each seed's difference is one
    value. ``minimum``: the smallest difference that matters."""
    classes = len(splits.test.classes)

    def part(
        exam: str, labels: Tensor, groups: Tensor | None
    ) -> tuple[Tensor, list[tuple[float, float]]]:
        answers = trained.answers(exam)
        values = seed_scores(score, labels, answers, classes)
        left_out = mean_left_out(score, labels, answers, classes, groups)
        parts = variance_of(score, labels, left_out, values[:1], among=None, groups=groups)
        return values, parts

    held, of_holdout = part(HOLDOUT, splits.holdout.labels, None)
    test, of_test = part(TEST, splits.test.labels, splits.test_groups)
    difference = held - test
    seeds = (float(difference.var()) / len(difference), len(difference) - 1.0)
    parts = [one for one in (*of_holdout, *of_test, seeds) if one[0] > 0 and math.isfinite(one[0])]
    found = t_interval(float(difference.mean()), parts)
    assert found.low is not None
    assert found.high is not None
    return HoldoutGap(
        arm=trained.arm.name,
        label=trained.arm.label,
        holdout=float(held.mean()),
        test=float(test.mean()),
        ci_low=found.low,
        ci_high=found.high,
        far_above=found.low > minimum,
    )
