"""All statistical tests between a real and a synthetic set, as the report keeps them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from synthgen.evaluation.features.base import PixelExtractor
from synthgen.evaluation.image_statistics import image_statistics
from synthgen.evaluation.narrative import statistics_sentences
from synthgen.evaluation.schema import Statistics, StatisticTest, TwoSample
from synthgen.evaluation.two_sample import (
    Test,
    classifier_two_sample,
    compare_each,
    compare_labels,
    real_components,
)
from synthgen.types import LabelledImages, spread_by_class

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
) -> Statistics:
    """The report's ``statistics``.

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
    if min(len(ours), len(theirs)) < FEWEST:
        said = [f"Too few images for statistical tests: {len(ours)} real, {len(theirs)} synthetic."]
        return Statistics(
            image=[],
            features={},
            labels=labels,
            two_sample=None,
            sentence=said,
            n_real=len(ours),
            n_fake=len(theirs),
            at_most=at_most,
        )
    image = _image_family(ours, theirs)
    spaces = _feature_families(features or {})
    shifts = compare_each([*image, *(test for tests in spaces.values() for test in tests[0])])
    two_sample = _two_sample(ours, theirs, features, seed)
    by_space = _by_name(spaces, shifts)
    return Statistics(
        image=shifts[: len(image)],
        features=by_space,
        labels=labels,
        two_sample=two_sample,
        sentence=statistics_sentences(shifts[: len(image)], by_space, labels, two_sample),
        correction=f"Holm over {len(shifts)} tests; Benjamini and Hochberg beside it",
        n_real=len(ours),
        n_fake=len(theirs),
        at_most=at_most,
    )


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
        tests: list[Test] = [
            (f"component {number + 1}", scores.real[:, number], scores.fake[:, number])
            for number in range(len(scores.shares))
        ]
        found[name] = (tests, scores.shares)
    return found


def _by_name(
    spaces: Mapping[str, tuple[list[Test], list[float]]], shifts: list[StatisticTest]
) -> dict[str, list[StatisticTest]]:
    """The components' shifts per space: they are the last of all, in the spaces' order."""
    total = sum(len(tests) for tests, _ in spaces.values())
    rest = iter(shifts[len(shifts) - total :])
    return {
        name: [next(rest).model_copy(update={"variance_share": share}) for share in shares]
        for name, (_, shares) in spaces.items()
    }


def _two_sample(
    real: LabelledImages,
    fake: LabelledImages,
    features: Mapping[str, tuple[Tensor, Tensor]] | None,
    seed: int,
) -> TwoSample:
    if features:
        space, (ours, theirs) = next(iter(features.items()))
    else:
        pixels = PixelExtractor()
        pixels.prepare(real, seed)
        space, ours, theirs = pixels.name, pixels.compute(real.images), pixels.compute(fake.images)
    return classifier_two_sample(ours, theirs, space=space, seed=seed)
