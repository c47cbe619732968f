"""What a trial found, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from synthgen.data.splits import Splits
from synthgen.evaluation.trial.arms import REAL
from synthgen.evaluation.trial.equivalent import Equivalent
from synthgen.evaluation.trial.trial import Outcome
from synthgen.evaluation.trial.verdict import Comparison, Comparisons

ENOUGH_SEEDS = 5
LAST_PART = 4  # is a quarter of the training
STILL_RISING = 0.005  # of the score, over the last quarter of the training
SOURCES = {
    "sampler": "each seed has its own draw from the sampler",
    "folder": "this holds for this folder of images only, not for other draws of its generator",
}


def verdict_sentence(
    comparisons: Comparisons, minimum: float, splits: Splits, seeds: int, source: str
) -> str:
    """The verdict with everything that it rests on."""
    primary = comparisons.primary
    parts = [
        opening(primary, minimum),
        f"{primary.arm.label} against {primary.against.label}: {interval(primary)} in "
        f"{endpoint_words(primary.endpoint)}, on {len(splits.test):,} real {splits.reference} "
        f"images with {seeds} seeds ({SOURCES[source]}).",
    ]
    if primary.verdict == "no evidence":
        parts.append(
            f"A difference of {points(primary.contrast.smallest_detectable)} would have been found "
            "in 8 of 10 such trials."
        )
    if seeds < ENOUGH_SEEDS:
        parts.append(
            f"With {seeds} seeds this interval misses the truth more often than 1 time in 20; take "
            f"{ENOUGH_SEEDS}."
        )
    if comparisons.best_cheap is not None:
        parts.append(cheap_sentence(comparisons.best_cheap))
    return " ".join(parts)


def opening(primary: Comparison, minimum: float) -> str:
    contrast = primary.contrast
    if primary.verdict == "harmed":
        return "The synthetic images harmed."
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


def cheap_sentence(comparison: Comparison) -> str:
    """The question that a person has: is the generator worth its cost?"""
    words = {
        "helped": "They were better than the best cheap alternative",
        "harmed": "They were worse than the best cheap alternative",
        "no evidence": "There is no evidence that they were better than the best cheap alternative",
    }
    text = f"{words[comparison.verdict]} ({comparison.against.label}): {interval(comparison)}"
    if comparison.verdict != comparison.contrast.verdict:
        return f"{text}, which is too little after the correction for many comparisons."
    return f"{text}."


def equivalent_sentence(equivalent: Equivalent, endpoint: str) -> str:
    """What the images are worth, counted in real ones."""
    replaces, adds = equivalent.replaces, equivalent.adds
    like = {
        None: "as one trained on about {} real images",
        "at most": "no better than one trained on {} real images, the fewest that were tried",
        "at least": "at least as well as one trained on {} real images",
    }[replaces["bound"]].format(f"{replaces['images']:,}")
    text = (
        f"By {endpoint_words(endpoint)} a classifier trained on the synthetic images alone scores "
        f"{like} "
        f"({replaces['ci_low']:,} to {replaces['ci_high']:,})."
    )
    if adds is None:
        return f"{text} {equivalent.reason}"
    return (
        f"{text} Added to the real images they score as about {adds['images']:,} more real images "
        f"would ({adds['ci_low']:,} to {adds['ci_high']:,}; extrapolated)."
    )


def choice_sentences(outcome: Outcome, comparisons: Comparisons, splits: Splits) -> list[str]:
    """What was chosen, and on which images."""
    where = f"{len(splits.holdout):,} real {splits.held_back} images"
    sentences = [
        f"The ratio {outcome.choices.ratio:g} was chosen by the mean over seeds on {where}."
    ]
    if len(outcome.arms[REAL].examinations[0].curve) > 1:
        sentences.append(
            "The moment in each training at which its classifier was taken was chosen on the same "
            "images."
        )
    if outcome.choices.augmentation is not None:
        sentences.append(
            f"The strength '{outcome.choices.augmentation}' of classic augmentation was chosen on "
            "the same images."
        )
    if comparisons.best_cheap is not None:
        sentences.append(
            f"So was the best cheap alternative: {comparisons.best_cheap.against.label}."
        )
    return sentences


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
    words = {"macro_f1": "macro F1", "tail_recall": "mean recall of the rare classes"}
    return words.get(name, name.replace("_", " "))


def interval(comparison: Comparison) -> str:
    contrast = comparison.contrast
    return (
        f"{signed(contrast.difference)} points (95 % interval {signed(contrast.ci_low)} to "
        f"{signed(contrast.ci_high)})"
    )


def signed(value: float) -> str:
    """Tenths of a point, or hundredths where tenths would hide the sign."""
    digits = 1 if abs(value) >= 0.0005 else 2
    return f"{round(100 * value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def points(value: float) -> str:
    return f"{100 * value:.{1 if value >= 0.001 else 2}f} points"
