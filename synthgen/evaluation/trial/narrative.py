"""What a trial found, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from synthgen.data.splits import Splits
from synthgen.evaluation.classifiers.scores import rests_on
from synthgen.evaluation.fairness import FEWEST
from synthgen.evaluation.trial.analysis import Comparisons
from synthgen.evaluation.trial.contrast import LARGEST, guarded_verdict, side_of
from synthgen.evaluation.trial.endpoints import (
    FOR_IMBALANCED,
    TAIL_RECALL,
    choosing_name,
    looks_at_no_threshold,
)
from synthgen.evaluation.trial.schema import (
    Comparison,
    Copies,
    HoldoutGap,
    OtherClasses,
    RealEquivalent,
    Replaces,
    Source,
    Step,
    Verdict,
)
from synthgen.evaluation.trial.trial import Outcome

ENOUGH_SEEDS = 5
LAST_PART = 4  # is a quarter of the training
NOT_COMPARED = (
    "They were not compared with oversampling, classic augmentation or any other cheap "
    "alternative: this trial has no such arm (trial=standard has)."
)
NO_CURVE = (
    "This trial has no learning curve of real images (two or more trial.shares), so nothing can be "
    "expressed in real images."
)
NOT_TESTED = "Synthetic only was not tested: {}."
NO_SYNTHETIC_ONLY = (
    "This trial has no arm of synthetic images only (trial.arms), so nothing can be expressed in "
    "real images."
)
STILL_RISING = 0.005  # of the score, over the last quarter of the training
SOURCES: dict[Source, str] = {
    "sampler": "each seed has its own draw from the sampler",
    "folder": "this holds for this folder of images only, not for other draws of its generator",
}


def verdict_sentence(
    comparisons: Comparisons,
    minimum: float,
    splits: Splits,
    seeds: int,
    source: Source,
    *,
    tail: Sequence[int] = (),
    missing: Sequence[str] = (),
    ceiling: str | None = None,
    gaps: Sequence[HoldoutGap] = (),
    equivalent: RealEquivalent | None = None,
) -> str:
    """The verdict with everything that it rests on. ``tail``: labels of the rare classes;
    ``missing``: classes that the synthetic set lacks; ``ceiling`` of :func:`ceiling_sentence`."""
    primary, labels = comparisons.primary, comparisons.labels
    rare = list(tail) if comparisons.endpoint == TAIL_RECALL else None
    weighty = list(tail) if rare or looks_at_no_threshold(comparisons.endpoint) else []
    parts = [
        opening(primary, minimum),
        f"{capital(labels[primary.name])} against {labels[primary.against]}: {interval(primary)} "
        f"in {endpoint_words(comparisons.endpoint)}, on {tested(splits, rare)} with {seeds} seeds "
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
        parts.append(f"{found_sentence('A difference', comparisons.findable)}.")
    parts += gap_sentence(gaps, splits, choosing_name(comparisons.endpoint))
    if seeds < ENOUGH_SEEDS:
        parts.append(
            f"With {seeds} seeds this interval misses the truth more often than 1 time in 20; take "
            f"{ENOUGH_SEEDS}."
        )
    if comparisons.best_cheap is not None:
        cheap = comparisons.best_cheap
        parts.append(cheap_sentence(cheap, labels[cheap.against], comparisons.tied_cheap))
    else:
        parts.append(NOT_COMPARED)
    if equivalent is not None and equivalent.replaces is not None:
        parts.append(equivalent_sentence(equivalent, choosing_name(comparisons.endpoint)))
    return " ".join(parts)


def opening(primary: Comparison, minimum: float) -> str:
    gained = side_of(primary) == "helped"
    if gained and primary.others is not None and primary.others.lost:
        return (
            "The synthetic images moved the decision: more images of the rare classes are "
            "recognised, and fewer of the others."
        )
    if primary.verdict == "harmed":
        return "The synthetic images harmed."
    if gained and primary.others is not None and not primary.others.kept:
        return (
            "No evidence that the synthetic images helped: the rare classes gained, but it is not "
            "shown that the others didn't lose."
        )
    if gained and primary.control is not None and not primary.control.beaten:
        return copies_opening(primary.control)
    if primary.verdict == "no evidence":
        return "No evidence that the synthetic images helped or harmed."
    if not minimum:
        return "The synthetic images helped."
    if primary.ci_low >= minimum:
        return f"The synthetic images helped, by at least the {points(minimum)} that matter."
    if primary.ci_high < minimum:
        return f"The synthetic images helped, but by less than the {points(minimum)} that matter."
    return (
        f"The synthetic images helped; whether by the {points(minimum)} that matter is not settled."
    )


def guard_sentence(primary: Comparison) -> list[str]:
    """The other half of ``tail_recall``."""
    if primary.others is None:
        return []
    return [
        f"Mean recall of the other classes: {interval(primary.others)}; for 'helped' all of this "
        f"interval must lie above {signed(-primary.others.margin)}."
    ]


def copies_opening(control: Copies) -> str:
    """A gain over real only that copies of real images, class by class as many, may have too."""
    if side_of(control) == "harmed":
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
        f"{interval(primary.control)}; for 'helped' all of this interval must lie above 0 too."
    ]


def moved_sentence(comparisons: Comparisons) -> list[str]:
    """Beside help by a score that a moved decision can raise, where classes are of unequal sizes:
    the one that it can't."""
    primary = comparisons.primary
    if primary.verdict != "helped":
        return []
    return [
        "A classifier that only says the rare classes more often can gain in "
        f"{endpoint_words(comparisons.endpoint)}; in {endpoint_words(FOR_IMBALANCED)}, where it "
        f"can't, the difference is {interval(one)}."
        for one in comparisons.secondary
        if (one.endpoint, one.name, one.against) == (FOR_IMBALANCED, primary.name, primary.against)
    ]


def gap_sentence(gaps: Sequence[HoldoutGap], splits: Splits, chosen_by: str) -> list[str]:
    """Said if the holdout is much easier than the test images."""
    worst = max((gap for gap in gaps if gap.far_above), key=lambda gap: gap.ci_low, default=None)
    if worst is None:
        return []
    difference = worst.holdout - worst.test
    return [
        f"The {splits.held_back} images are easier than the {splits.reference} images: "
        f"{worst.label} scores {100 * worst.holdout:.1f} % there and {100 * worst.test:.1f} % here "
        f"in {endpoint_words(chosen_by)} ({signed(difference)} points, 95 % interval "
        f"{signed(worst.ci_low)} to {signed(worst.ci_high)}), so what was chosen there may "
        "not hold."
    ]


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
    room, found = 1 - real, primary.smallest_detectable
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


def cheap_sentence(comparison: Comparison, against: str, tied: int = 1) -> str:
    """The question that a person has: is the generator worth its cost?"""
    words: dict[Verdict, str] = {
        "helped": "They were better than the best cheap alternative",
        "harmed": "They were worse than the best cheap alternative",
        "no evidence": "There is no evidence that they were better than the best cheap alternative",
    }
    tie = f", the first of {tied} that tied on the holdout" if tied > 1 else ""
    text = f"{words[comparison.verdict]}, {against}{tie}: {interval(comparison)}"
    if comparison.others is not None:
        text += f", and {interval(comparison.others)} in the other classes"
    if comparison.verdict != guarded_verdict(comparison, comparison.others, comparison.control):
        return f"{text}, which is too little after the correction for many comparisons."
    return f"{text}."


def equivalent_sentence(equivalent: RealEquivalent, endpoint: str) -> str:
    """What the images are worth, counted in real ones."""
    text = replaced_sentence(equivalent.replaces, endpoint) if equivalent.replaces else ""
    adds = equivalent.adds
    if adds is None:
        return f"{text} {equivalent.reason}".strip()
    return (
        f"{text} Added to the real images they score as about {adds.images:,} more real images "
        f"would ({adds.ci_low:,} to {adds.ci_high:,}; extrapolated)."
    )


def replaced_sentence(replaces: Replaces, endpoint: str) -> str:
    """An interval's end that is an end of the learning curve is a bound as well."""
    if replaces.spans_curve:
        return (
            f"By {endpoint_words(endpoint)} it can't be said how many real images the synthetic "
            "ones alone are worth: the 95 % interval spans the whole learning curve, "
            f"{replaces.fewest:,} to {replaces.most:,} real images."
        )
    like = {
        None: "as one trained on about {} real images",
        "at most": "no better than one trained on {} real images, the fewest that were tried",
        "at least": "as one trained on {} real images or more",
    }[replaces.bound].format(f"{replaces.images:,}")
    return (
        f"By {endpoint_words(endpoint)} a classifier trained on the synthetic images alone scores "
        f"{like} (95 % interval {worth_interval(replaces)})."
    )


def worth_interval(found: Replaces) -> str:
    """``49 to 220 or more``: an end on the learning curve's end is only a bound."""
    low, high = found.ci_low, found.ci_high
    first = f"{low:,} or fewer" if low <= found.fewest else f"{low:,}"
    last = f"{high:,} or more" if high >= found.most else f"{high:,}"
    return f"{first} to {last}" if low != high else max(first, last, key=len)


def choice_sentences(
    outcome: Outcome, comparisons: Comparisons, splits: Splits, convergence: Sequence[Step]
) -> list[str]:
    """What was chosen, and on which images; ``convergence`` is that of real only."""
    where = f"{len(splits.holdout):,} real {splits.held_back} images"
    if outcome.choosing is not outcome.score:
        where += f", by {endpoint_words(choosing_name(outcome.endpoint))}"
    sentences = [
        f"The ratio {outcome.choices.ratio:g} was chosen by the mean over seeds on {where}"
        f"{tie(outcome.choices.tied_ratios, 'ratios')}."
    ]
    if len(convergence) > 1:
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
            "So was the best cheap alternative: "
            f"{comparisons.labels[comparisons.best_cheap.against]}"
            f"{tie(comparisons.tied_cheap, 'cheap arms')}."
        )
    return sentences + convergence_sentence(convergence)


def tie(count: int, what: str) -> str:
    """What a choice is worth that equals were to be chosen from."""
    return f", the first of {count} {what} that tied there" if count > 1 else ""


def convergence_sentence(curve: Sequence[Step]) -> list[str]:
    """A warning if real only was still getting better when its training ended."""
    if len(curve) < LAST_PART:
        return []
    before, end = curve[-(len(curve) // LAST_PART) - 1].holdout, curve[-1].holdout
    if end - before <= STILL_RISING:
        return []
    return [
        f"Real only was still improving when its training ended (by {points(end - before)} in the "
        "last quarter on the holdout): a longer one (judge.steps) would be a fairer comparison."
    ]


def endpoint_words(name: str) -> str:
    words = {
        "macro_f1": "macro F1",
        "macro_auroc": "macro AUROC",
        "tail_recall": "mean recall of the rare classes",
    }
    return words.get(name, name.replace("_", " "))


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def interval(found: Comparison | OtherClasses | Copies) -> str:
    return (
        f"{signed(found.difference)} points (95 % interval {signed(found.ci_low)} to "
        f"{signed(found.ci_high)})"
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
