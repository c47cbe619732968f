"""All statistical tests between a real and a synthetic set, as the report keeps them, and in
words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from synthgen.evaluation.features.base import PixelExtractor
from synthgen.evaluation.image_statistics import image_statistics
from synthgen.evaluation.two_sample import (
    Shift,
    classifier_two_sample,
    compare_each,
    compare_labels,
    real_components,
)
from synthgen.types import LabelledImages, spread_by_class

# What the tests found, in words. A difference is named with its size first: with enough images any
# difference, however small, has a small p.

ALPHA = 0.05
MENTIONED = 3  # the largest differences
CLEARLY_OTHER_MIX = 0.05  # total variation between the labels


def sentences(
    image: Sequence[Shift],
    spaces: Mapping[str, Sequence[Shift]],
    labels: Mapping[str, Any],
    two_sample: Mapping[str, Any],
) -> list[str]:
    said = [_image_sentence(image)]
    said += [_component_sentence(name, found) for name, found in spaces.items()]
    return [*said, *_label_sentences(labels), *_two_sample_sentences(two_sample)]


def _image_sentence(shifts: Sequence[Shift]) -> str:
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


def _shift(shift: Shift) -> str:
    return (
        f"{shift.statistic} {direction(shift)} (a {shift.size} difference; real "
        f"{shift.real_mean:.3g}, synthetic {shift.fake_mean:.3g}; adjusted "
        f"{p_text(shift.p_adjusted)})"
    )


def direction(shift: Shift) -> str:
    """``is 0.43 SD higher`` where the mean moved, else what is different."""
    if shift.effect is None or abs(shift.effect) >= 0.1:
        way = "higher" if shift.fake_mean > shift.real_mean else "lower"
        by = "" if shift.effect is None else f"{abs(shift.effect):.2g} SD "
        return f"is {by}{way}"
    if shift.fake_sd < 0.95 * shift.real_sd:
        return "varies less"
    return "varies more" if shift.fake_sd > 1.05 * shift.real_sd else "is distributed differently"


def _component_sentence(space: str, shifts: Sequence[Shift]) -> str:
    found = _significant(shifts)
    if not found:
        return f"Along none of the {len(shifts)} main components of {space} do the sets differ."
    worst = found[0]
    return (
        f"Along {len(found)} of the {len(shifts)} main components of {space} the sets differ; most "
        f"along {worst.statistic} (a {worst.size} difference: D {worst.ks:.2f})."
    )


def _label_sentences(labels: Mapping[str, Any]) -> list[str]:
    if labels["p"] is None or labels["p"] >= ALPHA:
        return []
    moved = labels["total_variation"]
    if moved < CLEARLY_OTHER_MIX:
        return []
    if labels["balanced"]:
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


def _two_sample_sentences(found: Mapping[str, Any]) -> list[str]:
    if found["accuracy"] is None:
        return ["Too few images to train a classifier that tells real from synthetic."]
    share = f"{100 * found['accuracy']:.0f} %"
    interval = f"{100 * found['ci_low']:.0f}–{100 * found['ci_high']:.0f} %"
    able = "tells" if found["p"] < ALPHA else "can't tell"
    return [
        f"A classifier on {found['space']} {able} real from synthetic images: {share} right "
        f"({interval}) where chance is 50 %, {p_text(found['p'])} over {found['n']:,} images."
    ]


def _significant(shifts: Sequence[Shift]) -> list[Shift]:
    """Those that the family's correction leaves, the largest distance first."""
    found = [shift for shift in shifts if shift.p_adjusted < ALPHA]
    return sorted(found, key=lambda shift: -shift.ks)


def p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


MOST = 5000  # images of each set, in proportion to its classes
MOST_PIXELS = 2**24  # of each set: 4,096 images of 64 × 64, 256 of 256 × 256
COMPONENTS = 10  # per feature space
FEWEST = 8  # images of each set, below which there is nothing to test


def compare_statistics(
    real: LabelledImages,
    fake: LabelledImages,
    *,
    features: Mapping[str, tuple[Tensor, Tensor]] | None = None,
    seed: int,
) -> dict[str, Any]:
    """The report's ``statistics``: plain JSON.

    At most 5,000 images (16.8 million pixels) of each set are measured. ``features`` maps an
    extractor's name to real ``(N, D)`` and synthetic ``(M, D)`` features, finite, of any images of
    these sets; the first space (the pixels, without any) is the one of the classifier two-sample
    test. All tests of images and components are one Holm family; the tests of labels and of the
    classifier stand for themselves. With fewer than 8 images in a set there are no tests, and a
    sentence that says so.
    """
    at_most = min(MOST, MOST_PIXELS // (real.image.height * real.image.width))
    ours, theirs = (spread_by_class(images, max(FEWEST, at_most)) for images in (real, fake))
    labels = compare_labels(real, fake)
    counts = {"n_real": len(ours), "n_fake": len(theirs), "at_most": at_most}
    if min(len(ours), len(theirs)) < FEWEST:
        said = [f"Too few images for statistical tests: {len(ours)} real, {len(theirs)} synthetic."]
        return {
            "image": [], "features": {}, "labels": labels, "two_sample": None, "sentence": said,
            **counts,
        }  # fmt: skip
    image = _image_family(ours, theirs)
    spaces = _feature_families(features or {})
    shifts = compare_each([*image, *(test for tests in spaces.values() for test in tests[0])])
    two_sample = _two_sample(ours, theirs, features, seed)
    by_space = _by_name(spaces, shifts)
    return {
        "image": [shift.to_json() for shift in shifts[: len(image)]],
        "features": {
            name: [
                {**shift.to_json(), "variance_share": share}
                for shift, share in zip(found, spaces[name][1], strict=True)
            ]
            for name, found in by_space.items()
        },
        "labels": labels,
        "two_sample": two_sample,
        "sentence": sentences(shifts[: len(image)], by_space, labels, two_sample),
        "correction": f"Holm over {len(shifts)} tests; Benjamini and Hochberg beside it",
        **counts,
    }


Test = tuple[str, Any, Any]


def _image_family(real: LabelledImages, fake: LabelledImages) -> list[Test]:
    ours, theirs = image_statistics(real.images), image_statistics(fake.images)
    return [(name, values, theirs[name]) for name, values in ours.items()]


def _feature_families(
    features: Mapping[str, tuple[Tensor, Tensor]],
) -> dict[str, tuple[list[Test], list[float]]]:
    """Per space the tests along its components, and the components' shares of variance."""
    found = {}
    for name, (real, fake) in features.items():
        if min(len(real), len(fake)) < FEWEST:
            continue
        scores = real_components(real, fake, COMPONENTS)
        tests = [
            (f"component {number + 1}", scores.real[:, number], scores.fake[:, number])
            for number in range(len(scores.shares))
        ]
        found[name] = (tests, scores.shares)
    return found


def _by_name(
    spaces: Mapping[str, tuple[list[Test], list[float]]], shifts: list[Shift]
) -> dict[str, list[Shift]]:
    """The components' shifts per space: they are the last of all, in the spaces' order."""
    total = sum(len(tests) for tests, _ in spaces.values())
    rest = iter(shifts[len(shifts) - total :])
    return {name: [next(rest) for _ in tests] for name, (tests, _) in spaces.items()}


def _two_sample(
    real: LabelledImages,
    fake: LabelledImages,
    features: Mapping[str, tuple[Tensor, Tensor]] | None,
    seed: int,
) -> dict[str, Any]:
    if features:
        space, (ours, theirs) = next(iter(features.items()))
    else:
        pixels = PixelExtractor()
        pixels.prepare(real, seed)
        space, ours, theirs = pixels.name, pixels.compute(real.images), pixels.compute(fake.images)
    return {**classifier_two_sample(ours, theirs, seed=seed), "space": space}
