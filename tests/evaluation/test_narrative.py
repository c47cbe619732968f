from dataclasses import replace

import pytest
import torch

from synthgen.data import Digits, prepare
from synthgen.evaluation.fidelity import as_references
from synthgen.evaluation.narrative import (
    closeness_sentence,
    fidelity_sentences,
    group_sentences,
    worst_class_sentence,
)
from synthgen.evaluation.result import make_result
from synthgen.evaluation.schema import Copying, CountedInterval, Neighbours
from synthgen.stats import Estimate
from synthgen.types import LabelledImages


def test_being_nearer_to_train_than_to_test_alone_accuses_nobody():
    """A space that was learned from the training images sees them specially, so a smaller distance
    to them proves nothing; copying is judged where real images calibrate it."""
    estimate = Estimate(2.0, 1.9, 2.1)
    model = make_result(
        "fidelity/frechet_distance",
        estimate,
        label="Fréchet distance",
        extractor="e",
        n_real=90,
        n_fake=90,
        seconds=0.0,
    )
    train = make_result(
        "fidelity/frechet_distance",
        Estimate(1.0, 0.9, 1.1),
        extractor="e",
        n_real=90,
        n_fake=90,
        seconds=0.0,
    )
    references = as_references("train", [train], "")
    text = " ".join(fidelity_sentences([model], references, "e", "test"))
    assert "The Fréchet distance to the real test images in the space e is 2" in text
    assert "cop" not in text


def nearest(closer):
    return Neighbours(extractor="e", searched=100, share_closer_than_median_real=closer)


def test_closeness_does_not_accuse_either():
    assert "as often as copies" in closeness_sentence(nearest(0.9), "test")


@pytest.mark.parametrize(
    ("share", "low", "flagged", "words"),
    [
        (0.48, 0.25, False, "little variety or blur rather than copies"),
        (0.60, 0.55, False, "as often as copies"),  # nearer to train than to held-back images
        (0.48, 0.25, True, "as often as copies"),
    ],
)
def test_closeness_is_explained_by_what_the_held_back_images_say(share, low, flagged, words):
    copying = Copying(
        sentence="", flagged=flagged, threshold=0.4, exact_copies=0, near_copies=0, p=1.0,
        searched=100, searched_train=100, n_reference=100,
        share_nearer_train=CountedInterval(value=share, ci_low=low, ci_high=0.9, n=100),
    )  # fmt: skip
    assert words in closeness_sentence(nearest(1.0), "test", copying)


def taught(values, seeds=1):
    """Predictions that recognise a share of the images of each class, and the images."""
    labels = torch.tensor([k for k, (_, count) in enumerate(values.values()) for _ in range(count)])
    right = torch.cat([torch.arange(count) < round(v * count) for v, count in values.values()])
    said = torch.where(right, labels, (labels + 1) % len(values))
    pixels = torch.zeros(len(labels), 1, 4, 4, dtype=torch.uint8)
    return said.expand(seeds, -1), LabelledImages(pixels, labels, tuple(values))


def test_the_worst_class_has_images_enough_to_be_called_so():
    found = taught({"rare": (0.0, 3), "cat": (0.5, 60), "dog": (0.9, 60)})
    text = " ".join(worst_class_sentence(*found, "test"))
    assert "worst alone, of the 2 with at least 10 test images, is cat: 50.0 %" in text
    assert "90.0 % of the others" in text
    assert worst_class_sentence(*taught({"rare": (0.0, 3), "cat": (0.7, 20)}), "test") == []
    tied = " ".join(worst_class_sentence(*taught({"a": (1.0, 20), "b": (1.0, 30)}), "test"))
    assert "no class worse than another: 100.0 %" in tied


def test_the_lowest_of_many_is_not_called_worst_by_chance():
    """0.7 of 20 among thirty classes of 0.9 is what some class always shows."""
    many = {f"c{k}": (0.9, 20) for k in range(29)} | {"low": (0.7, 20)}
    text = " ".join(worst_class_sentence(*taught(many), "test"))
    assert "One of 30 is always the lowest, here low: 70.0 %" in text
    assert ", wider because it was picked from 30) of its 20 test images" in text
    named = 0
    for seed in range(100):
        random = torch.Generator().manual_seed(seed)
        _, test = taught(many)
        right = torch.rand(len(test), generator=random) < 0.85
        said = torch.where(right, test.labels, (test.labels + 1) % 30)[None]
        named += "teaches worst alone is" in worst_class_sentence(said, test, "test")[0]
    assert named <= 9  # 5 in the long run


def test_groups_leave_a_trace():
    digits_splits = prepare(Digits())
    count = len(digits_splits.test)
    assert group_sentences(digits_splits) == []
    pairs = replace(digits_splits, test_groups=torch.arange(count) // 2)
    assert f"form {-(-count // 2):,} groups" in group_sentences(pairs)[0]
    assert "the largest has 2 images" in group_sentences(pairs)[0]
    large = replace(digits_splits, test_groups=torch.arange(count) // 50)
    assert "is not shown; data.attribute=COLUMN shows it" in group_sentences(large)[0]
    shown = replace(large, test_attributes=("a",) * count)
    assert "not shown" not in group_sentences(shown)[0]
