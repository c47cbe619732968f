"""All statistical tests between a real and a synthetic set, as the report keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from synthgen.evaluation.features.pixels import PixelExtractor
from synthgen.evaluation.statistics.components import real_components
from synthgen.evaluation.statistics.distances import Shift, compare_each
from synthgen.evaluation.statistics.image_statistics import image_statistics
from synthgen.evaluation.statistics.labels import compare_labels
from synthgen.evaluation.statistics.two_sample import classifier_two_sample
from synthgen.evaluation.statistics.wording import sentences
from synthgen.evaluation.subsets import spread_by_class
from synthgen.types import LabelledImages

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
