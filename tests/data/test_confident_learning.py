"""Wrong labels are found, right ones are not, and how many look wrong by chance is told."""

import numpy as np
import pytest
import torch

from synthgen.data import Digits
from synthgen.data.checks.confident_learning import flags, review_labels
from synthgen.types import LabelledImages


@pytest.fixture(scope="module")
def digits():
    return Digits().read().images


def relabelled(images, share, random):
    """``images`` with that share of wrong labels, and which."""
    labels = images.labels.clone()
    wrong = random.permutation(len(labels))[: round(share * len(labels))]
    labels[wrong] = (labels[wrong] + torch.from_numpy(random.integers(1, 10, len(wrong)))) % 10
    return LabelledImages(images.images, labels, images.classes), set(wrong.tolist())


def alone(count):
    return [[i] for i in range(count)]


def test_wrong_labels_are_listed_and_few_others(digits):
    given, wrong = relabelled(digits, 0.05, np.random.default_rng(0))
    review = review_labels(given, alone(len(given)))
    listed = {doubt.position for doubt in review.shown}
    assert review.beyond_chance
    assert len(listed & wrong) / len(listed) >= 0.95  # precision; 0.99 seen
    assert len(listed & wrong) / len(wrong) >= 0.9  # recall; 0.97 seen
    suggested = {doubt.position: doubt.suggested for doubt in review.shown}
    right = [suggested[i] == int(digits.labels[i]) for i in listed & wrong]
    assert np.mean(right) >= 0.95
    assert review.noise == pytest.approx(0.05, abs=0.01)
    assert "may be wrong" in review.sentence()


def test_one_class_taken_for_another_is_found_too(digits):
    random = np.random.default_rng(1)
    sevens = torch.nonzero(digits.labels == 7).flatten()
    wrong = sevens[random.permutation(len(sevens))[:10]]
    labels = digits.labels.clone()
    labels[wrong] = 1
    review = review_labels(
        LabelledImages(digits.images, labels, digits.classes), alone(len(labels))
    )
    listed = {doubt.position for doubt in review.shown}
    assert len(listed & set(wrong.tolist())) >= 8
    assert len(listed) <= 12


def test_right_labels_give_what_was_predicted(digits):
    review = review_labels(digits, alone(len(digits)))
    mean, low, high = review.chance
    assert review.flagged <= high <= 10
    assert low <= mean <= high
    assert not review.beyond_chance
    assert review.shown == ()
    assert "no more than chance" in review.sentence()


def test_a_weak_classifier_flags_many_right_labels_and_says_so():
    """Classes that overlap: two thirds of the labels can be told from the picture."""
    random = np.random.default_rng(0)
    labels = torch.from_numpy(random.integers(0, 3, 900))
    shades = 60 * labels[:, None, None, None] + torch.from_numpy(
        random.normal(60, 45, (900, 1, 1, 1))
    )
    noise = torch.from_numpy(random.normal(0, 8, (900, 1, 6, 6)))
    pictures = (shades + noise).clamp(0, 255).to(torch.uint8)
    images = LabelledImages(pictures, labels, ("a", "b", "c"))
    review = review_labels(images, alone(900))
    assert 0.4 < review.accuracy < 0.75
    assert review.flagged > 90  # a tenth of labels that are all right
    # Five such sets had 15 to 28 % more than predicted, which SLACK and the interval have room for.
    assert review.flagged == pytest.approx(review.chance[0], rel=0.35)
    assert not review.beyond_chance


def test_images_that_belong_together_are_in_one_fold():
    """Each label is known only from a copy: whoever saw it would agree with all labels."""
    random = np.random.default_rng(0)
    pictures = torch.from_numpy(random.integers(0, 256, (200, 1, 8, 8), dtype=np.uint8))
    labels = torch.from_numpy(random.integers(0, 2, 200))
    twice = LabelledImages(pictures.repeat(2, 1, 1, 1), labels.repeat(2), ("a", "b"))
    apart = review_labels(twice, alone(400))
    together = review_labels(twice, [[i, i + 200] for i in range(200)])
    assert apart.accuracy > 0.6
    assert together.accuracy < 0.6


def test_small_classes_are_not_judged(digits):
    some = digits.subset(torch.cat([torch.nonzero(digits.labels == k).flatten()[:n] for k, n in
                                    ((0, 40), (1, 40), (2, 9))]))  # fmt: skip
    review = review_labels(some, alone(len(some)))
    assert review.judged == 80
    assert review.left_out == ("2",)
    assert review_labels(digits.subset(range(30)), alone(30)) is None


def test_sixteen_bits_and_five_channels_are_judged(digits):
    deep = digits.images.to(torch.int32).mul(257).to(torch.uint16).repeat(1, 5, 1, 1)
    review = review_labels(LabelledImages(deep, digits.labels, digits.classes), alone(len(digits)))
    assert review.accuracy > 0.95


def test_confident_joint_of_the_paper():
    """Thresholds are the mean self-confidence of each given label (equation 2)."""
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.45, 0.55]])
    labels = np.array([0, 0, 0, 1, 1])
    flagged, best = flags(probabilities, labels)  # thresholds 0.6 and 0.725
    assert flagged.tolist() == [False, False, True, False, False]
    assert best[2] == 1
