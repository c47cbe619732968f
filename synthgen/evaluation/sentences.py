"""What the numbers mean, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.evaluation.fairness import FEWEST, lowest_of
from synthgen.evaluation.metrics.intervals import Estimate
from synthgen.evaluation.result import Result
from synthgen.types import LabelledImages

CHANCE = 0.5  # nearer to a training image than to a held-back one
UNEXPLAINED = "Far more means little variety or blur as often as copies."
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
            f"A classifier trained on the real images got {share(real)} of the {real.n_real:,} "
            f"real {reference} images right, trained on both {share(both)} ({trainings}, 95 % "
            "intervals).",
            addition(real, both),
        ]
    return [
        f"A classifier trained only on the {synthetic.n_fake:,} synthetic images got "
        f"{share(synthetic)} of the {synthetic.n_real:,} real {reference} images right; trained on "
        f"the real ones {share(real)}, on both {share(both)} ({trainings}, 95 % "
        "intervals).",
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
    picked = percent(one).replace(")", f", wider because it was picked from {len(enough)})")
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
    references: Sequence[dict[str, Any]],
    extractor: str,
    reference: str,
) -> list[str]:
    """The Fréchet distance among its references, or that there were too few images to say."""
    model = next(
        r
        for r in results
        if r.name == "fidelity/frechet_distance" and r.extractor == extractor and r.scope is None
    )
    if model.value is None:
        return [
            f"Too few images to say anything about fidelity ({model.n_real:,} real {reference} "
            f"images, {model.n_fake:,} synthetic)."
        ]
    values = {
        r["reference"]: r
        for r in references
        if r["name"] == model.name and r["extractor"] == extractor and r["value"] is not None
    }
    return [
        f"The Fréchet distance to the real {reference} images in the space {extractor} is "
        f"{model.value:.4g}" + beside(values) + "."
    ]


def beside(values: dict[str, dict[str, Any]]) -> str:
    """``; the floor is … at n images, where the set has …``"""
    parts = []
    if "floor" in values and "model_at_floor_n" in values:
        floor = values["floor"]
        parts.append(
            f"other real images have {floor['value']:.4g} at {floor['n_fake']:,} images, where "
            f"this set has {values['model_at_floor_n']['value']:.4g}"
        )
    parts += [
        f"{name.replace('_', '-')} {values[name]['value']:.4g}"
        for name in ("pca_gaussian", "noise")
        if name in values
    ]
    return "".join(f"; {part}" for part in parts)


def closeness_sentence(
    neighbours: dict[str, Any], reference: str, copying: dict[str, Any] | None = None
) -> str:
    """Distance to the nearest training image, calibrated on real images that nobody trained on.
    ``copying``: what :func:`copying.find_copies` says of the same space, which may explain it."""
    closer = neighbours["share_closer_than_median_real"]
    return (
        f"{100 * closer:.0f} % of the synthetic images ({neighbours['searched']:,} looked at) are "
        f"nearer to a training image than the median real {reference} image of their class; new "
        f"real images would be at 50 %. {closer_because(closer, copying)}"
    )


def closer_because(closer: float, copying: dict[str, Any] | None) -> str:
    near = copying and copying.get("share_nearer_train")
    if not copying or not near or copying["flagged"] or closer < CLEARLY_CLOSER:
        return UNEXPLAINED
    if near["value"] is None or near["ci_low"] > CHANCE:
        return UNEXPLAINED
    return (
        "Here it means little variety or blur rather than copies, on the whole: they are just as "
        "near to held-back images, which nothing was trained on "
        f"({100 * near['value']:.0f} % are nearer to a training image)."
    )


def extractor_sentence(name: str) -> list[str]:
    """Which numbers these must not be mistaken for."""
    if not name.startswith("classifier"):
        return []
    return [
        f"Fidelity in the space {name} is measured with a small classifier trained on the real "
        "training images: it is not Inception FID and can't be compared with published values."
    ]


def share(result: Result) -> str:
    return percent(Estimate(result.value, result.ci_low, result.ci_high))


def percent(found: Estimate) -> str:
    """``95.1 % (94.6–95.6)``."""
    if found.value is None:
        return "an unknown share"
    text = f"{100 * found.value:.1f} %"
    if found.low is None or found.high is None:
        return text
    return f"{text} ({100 * found.low:.1f}–{100 * found.high:.1f})"
