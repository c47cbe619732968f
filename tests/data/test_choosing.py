import dataclasses

import numpy as np
import pytest
import torch

from synthgen.data import Digits, Splits, image_hashes, prepare
from synthgen.data.divide import divide
from synthgen.data.splits import for_choosing
from synthgen.errors import SynthgenError
from synthgen.types import LabelledImages


@pytest.fixture(scope="module")
def digits():
    return prepare(Digits())


@pytest.fixture(scope="module")
def choosing(digits):
    return for_choosing(digits)


def test_the_holdout_is_the_reference_and_no_test_image_is_left(digits, choosing):
    assert torch.equal(choosing.test.images, digits.holdout.images)
    assert (choosing.reference, choosing.held_back) == ("holdout", "held-back training")
    assert (digits.reference, digits.held_back) == ("test", "holdout")
    hidden = set(image_hashes(digits.test.images))
    for part in (choosing.train, choosing.holdout, choosing.test):
        assert not hidden & set(image_hashes(part.images))
    assert not hidden & set(choosing.assignment)
    assert set(choosing.assignment.values()) == {"train", "holdout"}


def test_the_cut_is_a_stratified_part_of_train(digits, choosing):
    share = len(digits.holdout) / (len(digits.train) + len(digits.holdout))
    for whole, cut in zip(digits.train.counts, choosing.holdout.counts, strict=True):
        assert cut == round(share * whole)
    cut, rest = (image_hashes(part.images) for part in (choosing.holdout, choosing.train))
    assert sorted(cut + rest) == sorted(image_hashes(digits.train.images))
    assert not set(cut) & set(rest)


def test_the_cut_is_always_the_same_and_the_split_keeps_its_identity(digits, choosing):
    again = for_choosing(prepare(Digits()))
    assert torch.equal(again.holdout.images, choosing.holdout.images)
    assert torch.equal(again.train.images, choosing.train.images)
    assert (choosing.digest, choosing.recipe) == (digits.digest, digits.recipe)
    assert choosing.name == digits.name
    assert f"{len(choosing.holdout):,} training images were held back" in choosing.notes[-1]
    order = np.random.default_rng(0).permutation(len(digits.train))
    shuffled = dataclasses.replace(digits, train=digits.train.subset(order))
    found = for_choosing(shuffled)
    assert set(image_hashes(found.holdout.images)) == set(image_hashes(choosing.holdout.images))


def test_copies_stay_together(digits):
    train = digits.train
    twice = LabelledImages(
        torch.cat([train.images, train.images]), torch.cat([train.labels] * 2), train.classes
    )
    found = for_choosing(dataclasses.replace(digits, train=twice))
    assert not set(image_hashes(found.holdout.images)) & set(image_hashes(found.train.images))


def test_a_class_with_one_training_image_is_refused(digits):
    few = torch.cat([(digits.train.labels == label).nonzero()[:9] for label in range(9)])
    one = (digits.train.labels == 9).nonzero()[:1]
    train = digits.train.subset(torch.cat([few, one]).flatten())
    with pytest.raises(SynthgenError, match="Class '9'"):
        for_choosing(dataclasses.replace(digits, train=train))


def with_patients(size: int, **options) -> Splits:
    """Digits in groups of ``size`` images of one class: patients, as a CSV names them."""
    records = Digits().read()
    rank = torch.zeros(len(records.files), dtype=torch.int64)
    for label in range(10):
        mine = records.images.labels == label
        rank[mine] = torch.arange(int(mine.sum()))
    groups = [
        f"{y}-{r // size}"
        for y, r in zip(records.images.labels.tolist(), rank.tolist(), strict=True)
    ]
    return divide(Digits(**options), dataclasses.replace(records, groups=tuple(groups)))


def test_no_group_has_images_on_both_sides_of_the_second_cut():
    whole = with_patients(6)
    patient = dict(zip(image_hashes(whole.train.images), whole.train_groups.tolist(), strict=True))
    found = for_choosing(whole)
    kept, held = (
        {patient[image] for image in image_hashes(part.images)}
        for part in (found.train, found.holdout)
    )
    assert len(held) > 10
    assert not kept & held
    for part, groups in ((found.train, found.train_groups), (found.holdout, found.holdout_groups)):
        assert groups.tolist() == [patient[image] for image in image_hashes(part.images)]
        assert torch.equal(part.groups, groups)  # whoever divides the images again is told


def test_the_reference_keeps_its_groups_and_attributes():
    whole = with_patients(6)
    shown = dataclasses.replace(whole, holdout_attributes=("a",) * len(whole.holdout))
    found = for_choosing(shown)
    assert torch.equal(found.test_groups, whole.holdout_groups)
    assert len(found.test_groups.unique()) < len(found.test)
    assert found.test_attributes == shown.holdout_attributes


def test_a_class_of_one_group_can_not_be_cut_again():
    with pytest.raises(SynthgenError, match=r"distinct image\(s\) or groups"):
        for_choosing(with_patients(60))
