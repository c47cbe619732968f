"""What a trial found, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from synthgen.data.splits import Splits
from synthgen.evaluation.classifiers.scores import rests_on
from synthgen.evaluation.fairness import FEWEST
from synthgen.evaluation.trial.analysis import Comparison, Comparisons, Gap
from synthgen.evaluation.trial.arms import REAL
from synthgen.evaluation.trial.contrast import LARGEST, Contrast, Control
from synthgen.evaluation.trial.endpoints import (
    FOR_IMBALANCED,
    TAIL_RECALL,
    choosing_name,
    looks_at_no_threshold,
)
from synthgen.evaluation.trial.real_equivalent import Equivalent, spans_curve, worth_interval
from synthgen.evaluation.trial.trial import Outcome

ENOUGH_SEEDS = 5
LAST_PART = 4  # is a quarter of the training
NOT_COMPARED = (
    "They were not compared with oversampling, classic augmentation or any other cheap "
    "alternative: this trial has no such arm (trial=standard has)."
)
STILL_RISING = 0.005  # of the score, over the last quarter of the training
SOURCES = {
    "sampler": "each seed has its own draw from the sampler",
    "folder": "this holds for this folder of images only, not for other draws of its generator",
}


def verdict_sentence(
    comparisons: Comparisons,
    minimum: float,
    splits: Splits,
    seeds: int,
    source: str,
    *,
    tail: Sequence[int] = (),
    missing: Sequence[str] = (),
    ceiling: str | None = None,
    gap: str | None = None,
) -> str:
    """The verdict with everything that it rests on. ``tail``: labels of the rare classes;
    ``missing``: classes that the synthetic set lacks; ``ceiling`` of :func:`ceiling_sentence`;
    ``gap`` of :func:`gap_sentence`."""
    primary = comparisons.primary
    rare = list(tail) if primary.endpoint == TAIL_RECALL else None
    weighty = list(tail) if rare or looks_at_no_threshold(primary.endpoint) else []
    parts = [
        opening(primary, minimum),
        f"{capital(primary.arm.label)} against {primary.against.label}: {interval(primary)} in "
        f"{endpoint_words(primary.endpoint)}, on {tested(splits, rare)} with {seeds} seeds "
        f"({SOURCES[source]}).",
    ]
    parts += guard_sentence(primary)
    parts += control_sentence(primary)
    parts += moved_sentence(comparisons)
    if missing:
        parts.append(
            f"The synthetic set has no image of {', '.join(missing)}, so for "
            f"{'this class' if len(missing) == 1 else 'these classes'} the verdict shows only what "
            "images of other classes did."
        )
    parts += few_images_sentence(splits, weighty)
    if ceiling is not None:
        parts.append(ceiling)
    elif primary.verdict == "no evidence":
        parts.append(f"{found_sentence('A difference', smallest_found(primary))}.")
    if gap is not None:
        parts.append(gap)
    if seeds < ENOUGH_SEEDS:
        parts.append(
            f"With {seeds} seeds this interval misses the truth more often than 1 time in 20; take "
            f"{ENOUGH_SEEDS}."
        )
    if comparisons.best_cheap is not None:
        parts.append(cheap_sentence(comparisons.best_cheap, comparisons.tied_cheap))
    else:
        parts.append(NOT_COMPARED)
    return " ".join(parts)


def opening(primary: Comparison, minimum: float) -> str:
    contrast = primary.contrast
    if primary.moved:
        return (
            "The synthetic images moved the decision: more images of the rare classes are "
            "recognised, and fewer of the others."
        )
    if primary.verdict == "harmed":
        return "The synthetic images harmed."
    if primary.guard is not None and contrast.verdict == "helped" and not primary.guard.kept:
        return (
            "No evidence that the synthetic images helped: the rare classes gained, but it is not "
            "shown that the others didn't lose."
        )
    if primary.control is not None and contrast.verdict == "helped" and not primary.control.beaten:
        return copies_opening(primary.control)
    if primary.verdict == "no evidence":
        return "No evidence that the synthetic images helped or harmed."
    if not minimum:
        return "The synthetic images helped."
    if contrast.ci_low >= minimum:
        return f"The synthetic images helped, by at least the {points(minimum)} that matter."
    if contrast.ci_high < minimum:
        return f"The synthetic images helped, but by less than the {points(minimum)} that matter."
    return (
        f"The synthetic images helped; whether by the {points(minimum)} that matter is not settled."
    )


def guard_sentence(primary: Comparison) -> list[str]:
    """The other half of ``tail_recall``."""
    if primary.guard is None:
        return []
    contrast, margin = primary.guard.contrast, primary.guard.margin
    return [
        f"Mean recall of the other classes: {interval_of(contrast)}; for 'helped' all of this "
        f"interval must lie above {signed(-margin)}."
    ]


def copies_opening(control: Control) -> str:
    """A gain over real only that copies of real images, class by class as many, may have too."""
    if control.contrast.verdict == "harmed":
        return "No evidence that the synthetic images helped: copies of real images did more."
    return (
        "No evidence that the synthetic images helped: it is not shown that they did more than "
        "copies of real images."
    )


def control_sentence(primary: Comparison) -> list[str]:
    """Where the synthetic images move the classes' shares: what copies that move them too do."""
    if primary.control is None:
        return []
    return [
        f"Against {primary.control.label}, as many of each class: "
        f"{interval_of(primary.control.contrast)}; for 'helped' all of this interval must lie "
        "above 0 too."
    ]


def smallest_found(primary: Comparison) -> float:
    """What had been detectable where it was looked for: against the copies, if they decided."""
    contrasts = [primary.contrast]
    if primary.control is not None and primary.contrast.verdict == "helped":
        contrasts.append(primary.control.contrast)
    return max(contrast.smallest_detectable for contrast in contrasts)


def moved_sentence(comparisons: Comparisons) -> list[str]:
    """Beside help by a score that a moved decision can raise, where classes are of unequal sizes:
    the one that it can't."""
    primary = comparisons.primary
    if primary.verdict != "helped":
        return []
    return [
        f"A classifier that only says the rare classes more often can gain in "
        f"{endpoint_words(primary.endpoint)}; in {endpoint_words(one.endpoint)}, where it can't, "
        f"the difference is {interval(one)}."
        for one in comparisons.secondary
        if one.endpoint == FOR_IMBALANCED and same_arms(one, primary)
    ]


def same_arms(one: Comparison, other: Comparison) -> bool:
    return (one.arm.name, one.against.name) == (other.arm.name, other.against.name)


def gap_sentence(gaps: Sequence[Gap], splits: Splits, chosen_by: str) -> str | None:
    """Said if the holdout is much easier than the test images: see :func:`gap.far_above`."""
    if not gaps:
        return None
    worst = max(gaps, key=lambda gap: gap.ci_low)
    difference = worst.holdout - worst.test
    return (
        f"The {splits.held_back} images are easier than the {splits.reference} images: "
        f"{worst.label} scores {100 * worst.holdout:.1f} % there and {100 * worst.test:.1f} % here "
        f"in {endpoint_words(chosen_by)} ({signed(difference)} points, 95 % interval "
        f"{signed(worst.ci_low)} to {signed(worst.ci_high)}), so what was chosen there may "
        "not hold."
    )


def tested(splits: Splits, rare: Sequence[int] | None) -> str:
    """``11 real test images of malign (8) and rare (3), in 6 groups``: what the endpoint rests on.
    ``rare``: the labels that it averages, None for all."""
    test = splits.test
    mask = None if rare is None else torch.isin(test.labels, torch.tensor(list(rare)))
    images, groups = rests_on(len(test), mask, splits.test_groups)
    words = f"{images:,} real {splits.reference} images"
    if rare is not None:
        words += f" of {listed([f'{test.classes[k]} ({test.counts[k]:,})' for k in rare])}"
    return words if splits.test_groups is None else f"{words} in {groups:,} groups,"


def few_images_sentence(splits: Splits, rare: Sequence[int]) -> list[str]:
    few = [splits.test.classes[label] for label in rare if splits.test.counts[label] < FEWEST]
    if not few:
        return []
    return [
        f"With fewer than {FEWEST} {splits.reference} images of {listed(few)} it can show very "
        "large differences only."
    ]


def ceiling_sentence(primary: Comparison, real: float | None) -> str | None:
    """Said if real only, at ``real``, leaves less room than this trial would have found."""
    if real is None or primary.verdict != "no evidence":
        return None
    room, found = 1 - real, primary.contrast.smallest_detectable
    if room > found:
        return None
    if room < 1e-9:
        return (
            "Real only is already perfect on these images: this trial can't show a gain. "
            f"{found_sentence('Harm', found)}."
        )
    gain = f"Real only already scores {100 * real:.1f} %: the largest possible gain, {points(room)}"
    if found > LARGEST:
        return f"{gain}, would have been missed in more than 2 of 10 such trials, as any harm."
    return (
        f"{gain}, is less than the {points(found)} that would have been found in 8 of 10 such "
        "trials, so this trial can hardly show one."
    )


def found_sentence(what: str, found: float) -> str:
    """How large ``what`` must be to be noticed; scores lie in 0..1, so it may be that none is."""
    if found > LARGEST:
        return f"{what} of any size would have been missed in more than 2 of 10 such trials"
    return f"{what} of {points(found)} would have been found in 8 of 10 such trials"


def cheap_sentence(comparison: Comparison, tied: int = 1) -> str:
    """The question that a person has: is the generator worth its cost?"""
    words = {
        "helped": "They were better than the best cheap alternative",
        "harmed": "They were worse than the best cheap alternative",
        "no evidence": "There is no evidence that they were better than the best cheap alternative",
    }
    tie = f", the first of {tied} that tied on the holdout" if tied > 1 else ""
    text = f"{words[comparison.verdict]}, {comparison.against.label}{tie}: {interval(comparison)}"
    if comparison.guard is not None:
        text += f", and {interval_of(comparison.guard.contrast)} in the other classes"
    if comparison.verdict != comparison.alone:
        return f"{text}, which is too little after the correction for many comparisons."
    return f"{text}."


def equivalent_sentence(equivalent: Equivalent, endpoint: str) -> str:
    """What the images are worth, counted in real ones."""
    text = replaced_sentence(equivalent.replaces, endpoint) if equivalent.replaces else ""
    adds = equivalent.adds
    if adds is None:
        return f"{text} {equivalent.reason}".strip()
    return (
        f"{text} Added to the real images they score as about {adds['images']:,} more real images "
        f"would ({adds['ci_low']:,} to {adds['ci_high']:,}; extrapolated)."
    )


def replaced_sentence(replaces: Mapping[str, Any], endpoint: str) -> str:
    """An interval's end that is an end of the learning curve is a bound as well."""
    if spans_curve(replaces):
        return (
            f"By {endpoint_words(endpoint)} it can't be said how many real images the synthetic "
            "ones alone are worth: the 95 % interval spans the whole learning curve, "
            f"{replaces['fewest']:,} to {replaces['most']:,} real images."
        )
    like = {
        None: "as one trained on about {} real images",
        "at most": "no better than one trained on {} real images, the fewest that were tried",
        "at least": "as one trained on {} real images or more",
    }[replaces["bound"]].format(f"{replaces['images']:,}")
    return (
        f"By {endpoint_words(endpoint)} a classifier trained on the synthetic images alone scores "
        f"{like} (95 % interval {worth_interval(replaces)})."
    )


def choice_sentences(outcome: Outcome, comparisons: Comparisons, splits: Splits) -> list[str]:
    """What was chosen, and on which images."""
    where = f"{len(splits.holdout):,} real {splits.held_back} images"
    if outcome.choosing is not outcome.score:
        where += f", by {endpoint_words(choosing_name(outcome.endpoint))}"
    sentences = [
        f"The ratio {outcome.choices.ratio:g} was chosen by the mean over seeds on {where}"
        f"{tie(outcome.choices.tied_ratios, 'ratios')}."
    ]
    if len(outcome.arms[REAL].examinations[0].curve) > 1:
        sentences.append(
            "The moment in each training at which its classifier was taken was chosen on the same "
            "images."
        )
    if outcome.choices.augmentation is not None:
        sentences.append(
            f"The strength '{outcome.choices.augmentation}' of classic augmentation was chosen on "
            f"the same images{tie(outcome.choices.tied_augmentations, 'strengths')}."
        )
    if comparisons.best_cheap is not None:
        sentences.append(
            f"So was the best cheap alternative: {comparisons.best_cheap.against.label}"
            f"{tie(comparisons.tied_cheap, 'cheap arms')}."
        )
    return sentences


def tie(count: int, what: str) -> str:
    """What a choice is worth that equals were to be chosen from."""
    return f", the first of {count} {what} that tied there" if count > 1 else ""


def convergence_sentence(curve: Sequence[tuple[int, float]]) -> str | None:
    """A warning if real only was still getting better when its training ended."""
    if len(curve) < LAST_PART:
        return None
    before, end = curve[-(len(curve) // LAST_PART) - 1][1], curve[-1][1]
    if end - before <= STILL_RISING:
        return None
    return (
        f"Real only was still improving when its training ended (by {points(end - before)} in the "
        "last quarter on the holdout): a longer one (judge.steps) would be a fairer comparison."
    )


def endpoint_words(name: str) -> str:
    words = {
        "macro_f1": "macro F1",
        "macro_auroc": "macro AUROC",
        "tail_recall": "mean recall of the rare classes",
    }
    return words.get(name, name.replace("_", " "))


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def interval(comparison: Comparison) -> str:
    return interval_of(comparison.contrast)


def interval_of(contrast: Contrast) -> str:
    return (
        f"{signed(contrast.difference)} points (95 % interval {signed(contrast.ci_low)} to "
        f"{signed(contrast.ci_high)})"
    )


def signed(value: float) -> str:
    """Tenths of a point, or hundredths where tenths would hide the sign."""
    digits = 1 if abs(value) >= 0.0005 or not value else 2
    return f"{round(100 * value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def points(value: float) -> str:
    return f"{100 * value:.{1 if value >= 0.001 else 2}f} points"


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
