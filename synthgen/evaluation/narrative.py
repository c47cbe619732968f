"""What the numbers mean, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.evaluation.copy_tests import (
    CHANCE,
    FALSE_ALARMS,
    FEWEST_HELD,
    exactly_copied,
    nearly_copied,
    too_close,
)
from synthgen.evaluation.fairness import FEWEST, lowest_of
from synthgen.evaluation.schema import (
    Copying,
    Interval,
    LabelTest,
    Neighbours,
    Reference,
    Result,
    StatisticTest,
    TwoSample,
)
from synthgen.types import LabelledImages

CHANCE_DIFFERENCE = 0.5  # nearer to a training image than to a held-back one
UNEXPLAINED = "Far more means little variety or blur as often as copies."
SUSPICIOUS = 0.05  # chance below which near copies are worth a look
ALPHA = 0.05
MENTIONED = 3  # the largest differences between statistics
CLEARLY_OTHER_MIX = 0.05  # total variation between the labels
CLEARLY_CLOSER = 0.75  # share nearer to train than usual, that needs an explanation


def choosing_sentence(reference: str) -> list[str]:
    """What a report on another split than the test split is for."""
    if reference == "test":
        return []
    return [
        f"This report is for choosing: its reference is the {reference} split, and no test image "
        "was used. The final report, once everything is chosen, uses reference=test."
    ]


def transfer_sentences(results: Sequence[Result], n_seeds: int, reference: str) -> list[str]:
    """What a classifier learned from each training set, real-only beside it. Synthetic only is not
    there if its images lack a class."""
    found = {r.name: r for r in results if r.scope is None}
    real = found["transfer/real_only/accuracy"]
    synthetic = found.get("transfer/synthetic_only/accuracy")
    both = found["transfer/real_and_synthetic/accuracy"]
    trainings = "one training each" if n_seeds == 1 else f"mean of {n_seeds} trainings each"
    if synthetic is None:
        return [
            f"A classifier trained on the real images got {percent(real)} of the {real.n_real:,} "
            f"real {reference} images right, trained on both {percent(both)} ({trainings}, 95 % "
            "intervals).",
            addition(real, both),
        ]
    return [
        f"A classifier trained only on the {synthetic.n_fake:,} synthetic images got "
        f"{percent(synthetic)} of the {synthetic.n_real:,} real {reference} images right; trained "
        f"on the real ones {percent(real)}, on both {percent(both)} ({trainings}, 95 % intervals).",
        addition(real, both),
    ]


def addition(real: Result, both: Result) -> str:
    """Cautious: intervals that overlap decide nothing, and only a trial would."""
    if both.ci_low is not None and real.ci_high is not None and both.ci_low > real.ci_high:
        return "Adding the synthetic images to the real ones came out better than the real alone."
    if both.ci_high is not None and real.ci_low is not None and both.ci_high < real.ci_low:
        return "Adding the synthetic images to the real ones came out worse than the real alone."
    return (
        "Whether adding the synthetic images to the real ones helps can't be told from this "
        "report: the intervals overlap."
    )


def worst_class_sentence(
    predictions: Tensor, test: LabelledImages, reference: str, groups: Tensor | None = None
) -> list[str]:
    """The class that the synthetic set teaches worst, of those with images enough to say so, if it
    is surely worse than the others; one of many is always the lowest. ``predictions`` int64
    ``(seeds, N)`` of classifiers trained on the synthetic images alone; ``groups`` int64 ``(N,)``
    of test images that belong together."""
    labels = test.labels.numpy()
    right = (predictions.numpy() == labels).astype(np.float64)
    members = {name: np.flatnonzero(labels == k) for k, name in enumerate(test.classes)}
    enough = {name: own for name, own in members.items() if len(own) >= FEWEST}
    if len(enough) < 2:
        return []
    tested = sum(len(own) > 0 for own in members.values())
    among = (
        f", of the {len(enough)} with at least {FEWEST} {reference} images,"
        if len(enough) < tested
        else ""
    )
    recall = {name: float(right[:, own].mean()) for name, own in enough.items()}
    name = min(recall, key=lambda one: recall[one])
    if max(recall.values()) == recall[name]:
        return [
            f"Alone it teaches no class{among} worse than another: {100 * recall[name]:.1f} "
            f"% of each one's {reference} images were recognised."
        ]
    one, others, clear = lowest_of(right, enough, name, None if groups is None else groups.numpy())
    wider = f", wider because it was picked from {len(enough)})"
    picked = percent(Interval.of(one)).replace(")", wider)
    recognised = (
        f"{picked} of its {len(enough[name]):,} {reference} images were recognised, "
        f"{100 * (others.value or 0):.1f} % of the others'"
    )
    if clear:
        return [f"The class that it teaches worst alone{among} is {name}: {recognised}."]
    return [
        f"Alone it teaches no class{among} surely worse than the others. One of {len(enough)} is "
        f"always the lowest, here {name}: {recognised}."
    ]


def group_sentences(splits: Splits) -> list[str]:
    """What became of the groups of the data."""
    if splits.test_groups is None:
        return []
    sizes = splits.test_groups.unique(return_counts=True)[1]
    largest = int(sizes.max())
    said = (
        f"The {len(splits.test):,} {splits.reference} images form {len(sizes):,} groups (of one "
        "value in the group column, or of equal pixels), and intervals are over groups."
    )
    if splits.test_attributes is not None:
        return [said]
    why = (
        f": the largest has {largest:,} images, and {FEWEST} are the fewest to say anything about"
        if largest < FEWEST
        else ""
    )
    return [
        f"{said} Recall by group is not shown{why}; data.attribute=COLUMN shows it by the values "
        "of another column of a CSV file."
    ]


def fidelity_sentences(
    results: Sequence[Result],
    references: Sequence[Reference],
    extractor: str,
    reference: str,
) -> list[str]:
    """The first metric among its references, or that there were too few images to say."""
    model = next(r for r in results if r.extractor == extractor and r.scope is None)
    if model.value is None:
        return [
            f"Too few images to say anything about fidelity ({model.n_real:,} real {reference} "
            f"images, {model.n_fake:,} synthetic)."
        ]
    values = {
        r.reference: r
        for r in references
        if r.name == model.name and r.extractor == extractor and r.value is not None
    }
    return [
        f"The {model.label} to the real {reference} images in the space {extractor} is "
        f"{model.value:.4g}" + beside(values) + "."
    ]


def beside(values: dict[str, Reference]) -> str:
    """``; the floor is … at n images, where the set has …``"""
    parts = []
    if "floor" in values and "model_at_floor_n" in values:
        floor = values["floor"]
        parts.append(
            f"other real images have {floor.value:.4g} at {floor.n_fake:,} images, where "
            f"this set has {values['model_at_floor_n'].value:.4g}"
        )
    parts += [
        f"{name.replace('_', '-')} {values[name].value:.4g}"
        for name in ("pca_gaussian", "noise")
        if name in values
    ]
    return "".join(f"; {part}" for part in parts)


def closeness_sentence(
    neighbours: Neighbours, reference: str, copying: Copying | None = None
) -> str:
    """Distance to the nearest training image, calibrated on real images that nobody trained on.
    ``copying``: what :func:`copying.find_copies` says of the same space, which may explain it."""
    closer = neighbours.share_closer_than_median_real
    return (
        f"{100 * closer:.0f} % of the synthetic images ({neighbours.searched:,} looked at) are "
        f"nearer to a training image than the median real {reference} image of their class; new "
        f"real images would be at 50 %. {closer_because(closer, copying)}"
    )


def closer_because(closer: float, copying: Copying | None) -> str:
    near = copying and copying.share_nearer_train
    if not copying or not near or copying.flagged or closer < CLEARLY_CLOSER:
        return UNEXPLAINED
    if near.value is None or near.ci_low is None or near.ci_low > CHANCE_DIFFERENCE:
        return UNEXPLAINED
    return (
        "Here it means little variety or blur rather than copies, on the whole: they are just as "
        "near to held-back images, which nothing was trained on "
        f"({100 * near.value:.0f} % are nearer to a training image)."
    )


def extractor_sentence(name: str) -> list[str]:
    """Which numbers these must not be mistaken for."""
    if not name.startswith("classifier"):
        return []
    return [
        f"Fidelity in the space {name} is measured with a small classifier trained on the real "
        "training images: it is not Inception FID and can't be compared with published values."
    ]


def percent(found: Interval, digits: int = 1) -> str:
    """``95.1 % (94.6–95.6)``."""
    if found.value is None:
        return "an unknown share"
    text = f"{100 * found.value:.{digits}f} %"
    if found.ci_low is None or found.ci_high is None:
        return text
    return f"{text} ({100 * found.ci_low:.{digits}f}–{100 * found.ci_high:.{digits}f})"


def copying_sentence(found: Copying, extractor: str, reference: str) -> str:
    """What one space shows of copies: the verdict first, then the counts, then what would have
    been noticed."""
    counted = " ".join(part for part in (counts(found), power_text(found)) if part)
    halves = halves_text(found, reference)
    if exactly_copied(found):
        return f"Training images were copied: {exact_text(found)}. {counted}{halves}"
    if nearly_copied(found):
        return f"Training images were copied, by the space {extractor}. {counted}{halves}"
    if too_close(found):
        close = f"The set keeps too close to training images in the space {extractor}."
        return f"{close}{halves} {counted}"
    also = f" {exact_text(found)}, as real images do." if found.exact_copies else ""
    if found.n_reference < FEWEST_HELD:
        return (
            f"Only {found.n_reference} held-back images: too few to say anything about near "
            f"copies in the space {extractor} (at least {FEWEST_HELD} are needed).{also}{halves}"
        )
    if found.p < SUSPICIOUS:
        return (
            f"No proof of copying in the space {extractor}, but look at the nearest pairs: honest "
            f"sets come as near in {100 * found.p:.1g} % of cases (a set is flagged below "
            f"{100 * FALSE_ALARMS:g} %).{also} {counted}{halves}"
        )
    if also:
        return f"No sign of near copies in the space {extractor}.{also} {counted}{halves}"
    return f"No sign of copying in the space {extractor}. {counted}{halves}"


def exact_text(found: Copying) -> str:
    """``25 of 5,000 synthetic images equal one of 25 training images``"""
    twins = found.twins
    if not twins:
        return f"{found.exact_copies:,} synthetic images equal a training image in this space"
    images = "training image" if twins.sources == 1 else f"of {twins.sources:,} training images"
    equal = "equals" if twins.copies == 1 else "equal"
    return (
        f"{twins.copies:,} of {twins.images:,} synthetic images {equal} one {images}"
        " pixel for pixel"
    )


def counts(found: Copying) -> str:
    """How many near copies there are beside exact ones, and how many would be by chance."""
    others = found.searched - (found.searched_exact or 0)
    if found.n_reference < FEWEST_HELD or not others:
        return ""
    allowed = max(1, round(CHANCE * found.n_reference))
    expected = others * allowed / (found.n_reference + 1)
    which, chance = f"{others:,}", f"; p = {found.p:.2g}"
    if found.searched_exact:  # which that p value counts too
        which, chance = f"{others:,} other", ""
    return (
        f"Of {which} synthetic images {found.near_copies:,} are suspiciously near "
        f"to one of {found.searched_train:,} training images (about {expected:.2g} of as many "
        f"real images would be{chance}), {found.unmistakable:,} of them nearer than chance "
        "explains for any."
    )


def power_text(found: Copying) -> str:
    """The fewest copies that this check would have noticed, by what was done to them."""
    if not found.power:
        return ""
    basis = f"With {found.n_reference:,} held-back images"
    kinds = [
        f"{kind} {shown(least.mostly)} / {shown(least.nearly_always)}"
        for kind, least in found.power.items()
        if least.mostly is not None
    ]
    blind = [kind for kind, least in found.power.items() if least.mostly is None]
    if not kinds:
        return f"{basis} no number of near copies would have been noticed here."
    missed = f"; {' and '.join(blind)}: none however many" if blind else ""
    return (
        f"{basis} so many copies would have been noticed with a probability of 80 / 95 %, by what "
        f"was done to them: {', '.join(kinds)}{missed}."
    )


def shown(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def halves_text(found: Copying, reference: str) -> str:
    """With few held-back images the real ones are not at 50 % either."""
    share, usual = found.share_nearer_train, found.share_nearer_train_real
    if share is None:
        return ""
    real = (
        f" on average, and these real {reference} images at {percent(usual, digits=0)}"
        if usual is not None and usual.value is not None
        else ""
    )
    return (
        f" {percent(share, digits=0)} are nearer to a training image than to any of equally many "
        "held-back ones, where images that owe nothing to single training images are at 50 %"
        f"{real}."
    )


def statistics_sentences(
    image: Sequence[StatisticTest],
    spaces: Mapping[str, Sequence[StatisticTest]],
    labels: LabelTest,
    two_sample: TwoSample,
) -> list[str]:
    """A difference is named with its size first: with enough images any difference, however small,
    has a small p."""
    said = [_image_sentence(image)]
    said += [_component_sentence(name, found) for name, found in spaces.items()]
    return [*said, *_label_sentences(labels), *_two_sample_sentences(two_sample)]


def _image_sentence(shifts: Sequence[StatisticTest]) -> str:
    found = _significant(shifts)
    if not found:
        return (
            f"None of the {len(shifts)} image statistics (brightness to foreground) differs "
            "significantly between real and synthetic images."
        )
    shown = "; ".join(_shift(shift) for shift in found[:MENTIONED])
    verb = "differs" if len(found) == 1 else "differ"
    return f"{len(found)} of {len(shifts)} image statistics {verb} significantly: {shown}" + (
        f"; and {len(found) - MENTIONED} more." if len(found) > MENTIONED else "."
    )


def _shift(shift: StatisticTest) -> str:
    return (
        f"{shift.statistic} {direction(shift)} (a {shift.size} difference; real "
        f"{shift.real_mean:.3g}, synthetic {shift.fake_mean:.3g}; adjusted "
        f"{p_text(shift.p_adjusted)})"
    )


def direction(shift: StatisticTest) -> str:
    """``is 0.43 SD higher`` where the mean moved, else what is different."""
    if shift.effect is None or abs(shift.effect) >= 0.1:
        way = "higher" if shift.fake_mean > shift.real_mean else "lower"
        by = "" if shift.effect is None else f"{abs(shift.effect):.2g} SD "
        return f"is {by}{way}"
    if shift.fake_sd < 0.95 * shift.real_sd:
        return "varies less"
    return "varies more" if shift.fake_sd > 1.05 * shift.real_sd else "is distributed differently"


def _component_sentence(space: str, shifts: Sequence[StatisticTest]) -> str:
    found = _significant(shifts)
    if not found:
        return f"Along none of the {len(shifts)} main components of {space} do the sets differ."
    worst = found[0]
    return (
        f"Along {len(found)} of the {len(shifts)} main components of {space} the sets differ; most "
        f"along {worst.statistic} (a {worst.size} difference: D {worst.ks:.2f})."
    )


def _label_sentences(labels: LabelTest) -> list[str]:
    moved = labels.total_variation
    if labels.p is None or labels.p >= ALPHA or moved < CLEARLY_OTHER_MIX:
        return []
    if labels.balanced:
        return [
            "The synthetic set is balanced and the real images are not "
            f"({100 * moved:.0f} % of its labels would have to change for their shares). That is "
            "no fault of a set that was drawn so, but can alone shift the other statistics and the "
            "distances of all images together."
        ]
    return [
        f"The classes are mixed differently: {100 * moved:.0f} % of the labels would have to "
        "change for equal shares. That alone can shift the other statistics and the distances "
        "of all images together."
    ]


def _two_sample_sentences(found: TwoSample) -> list[str]:
    if found.accuracy is None or found.p is None:
        return ["Too few images to train a classifier that tells real from synthetic."]
    low, high = (100 * (end or 0) for end in (found.ci_low, found.ci_high))
    able = "tells" if found.p < ALPHA else "can't tell"
    return [
        f"A classifier on {found.space} {able} real from synthetic images: "
        f"{100 * found.accuracy:.0f} % right ({low:.0f}–{high:.0f} %) where chance is 50 %, "
        f"{p_text(found.p)} over {found.n:,} images."
    ]


def _significant(shifts: Sequence[StatisticTest]) -> list[StatisticTest]:
    """Those that the family's correction leaves, the largest distance first."""
    found = [shift for shift in shifts if shift.p_adjusted < ALPHA]
    return sorted(found, key=lambda shift: -shift.ks)


def p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
