"""From finished trainings to the verdict: one primary contrast, all others in one Holm family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.evaluation.scores import Score
from synthgen.evaluation.trial.arms import (
    AUGMENTED,
    AUGMENTED_COMBINED,
    COMBINED,
    REAL,
    SYNTHETIC,
    Arm,
)
from synthgen.evaluation.trial.choices import holdout_score, tied
from synthgen.evaluation.trial.contrast import LEVEL, Contrast, Verdict, holm, paired_contrast
from synthgen.evaluation.trial.endpoints import TAIL_RECALL, endpoint_score, images_of_endpoint
from synthgen.evaluation.trial.school import Trained
from synthgen.evaluation.trial.trial import TEST, Outcome

OTHER_ENDPOINTS = ("accuracy", "balanced_accuracy", "macro_f1")


@dataclass(frozen=True)
class Comparison:
    """One arm against another on one endpoint. ``p_adjusted`` is Holm's over all secondary
    comparisons; the primary one's is its own p."""

    arm: Arm
    against: Arm
    endpoint: str
    primary: bool
    contrast: Contrast
    p_adjusted: float

    @property
    def verdict(self) -> Verdict:
        """The interval's, if the adjusted p agrees."""
        return self.contrast.verdict if self.p_adjusted < LEVEL else "no evidence"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.arm.name,
            "label": self.arm.label,
            "against": self.against.name,
            "endpoint": self.endpoint,
            "ratio": self.arm.ratio,
            "primary": self.primary,
            "verdict": self.verdict,
            "difference": self.contrast.difference,
            "ci_low": self.contrast.ci_low,
            "ci_high": self.contrast.ci_high,
            "p": self.contrast.p,
            "p_adjusted": self.p_adjusted,
            "smallest_detectable": self.contrast.smallest_detectable,
        }


@dataclass(frozen=True)
class Comparisons:
    """All comparisons of a trial, the primary one first; ``best_cheap`` is among them, None if the
    trial has no cheap arm."""

    primary: Comparison
    secondary: list[Comparison]
    best_cheap: Comparison | None
    tied_cheap: int = 1  # cheap arms that were as good on the holdout, the best among them

    @property
    def every(self) -> list[Comparison]:
        return [self.primary, *self.secondary]


@dataclass(frozen=True, eq=False)
class Pair:
    """A comparison that is yet to be made. ``among``: the test images that its endpoint rests on,
    if not on all."""

    ours: Trained
    theirs: Trained
    endpoint: str
    score: Score
    among: Tensor | None = None


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
    return max(cheap, key=lambda trained: holdout_score(trained, outcome.score, splits))


def cheap_arms(outcome: Outcome) -> list[Trained]:
    return [trained for trained in outcome.arms.values() if trained.arm.kind == "cheap"]


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
        among = images_of_endpoint(name, outcome.tail, splits.test.labels)
        return Pair(ours, theirs, name, endpoint_score(name, outcome.tail), among)

    primary = pair(chosen, real)
    secondary = [pair(trained, real) for trained in compared_arms(outcome) if trained is not chosen]
    against_cheap = best_cheap and pair(chosen, best_cheap)
    secondary += [against_cheap] if against_cheap else []
    augmented = outcome.arms.get(f"{AUGMENTED}_{outcome.choices.augmentation}")
    if augmented is not None and AUGMENTED_COMBINED in outcome.arms:
        secondary.append(pair(outcome.arms[AUGMENTED_COMBINED], augmented))
    secondary += [pair(chosen, real, other) for other in other_endpoints(endpoint, outcome.tail)]
    made = [contrast_of(pair, splits) for pair in secondary]
    adjusted = holm([contrast.p for contrast in made])
    found = [
        Comparison(pair.ours.arm, pair.theirs.arm, pair.endpoint, False, contrast, p)
        for pair, contrast, p in zip(secondary, made, adjusted, strict=True)
    ]
    main = contrast_of(primary, splits)
    return Comparisons(
        primary=Comparison(chosen.arm, real.arm, endpoint, True, main, main.p),
        secondary=found,
        best_cheap=found[secondary.index(against_cheap)] if against_cheap else None,
        tied_cheap=tied([holdout_score(one, outcome.score, splits) for one in cheap_arms(outcome)]),
    )


def other_endpoints(endpoint: str, tail: Sequence[int]) -> list[str]:
    names = [*OTHER_ENDPOINTS, *([TAIL_RECALL] if tail else [])]
    return [name for name in names if name != endpoint]


def contrast_of(pair: Pair, splits: Splits) -> Contrast:
    test = splits.test
    return paired_contrast(
        pair.score,
        test.labels,
        pair.ours.predictions(TEST),
        pair.theirs.predictions(TEST),
        len(test.classes),
        groups=splits.test_groups,
        among=pair.among,
    )
