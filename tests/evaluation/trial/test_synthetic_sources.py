import pytest
import torch

from synthgen.evaluation.trial.arms import (
    FixedFolder,
    FreshDraws,
    first_of_each_class,
    proportional,
    rank_in_class,
)
from synthgen.images import image_hashes
from synthgen.samplers.statistical import PCAGaussian
from synthgen.types import LabelledImages

CASES = [[6, 6, 2], [5, 3, 1], [100, 1, 1, 1], [7], [0, 4, 3], [10] * 10, [13, 8, 5, 3, 2, 1, 1]]


@pytest.mark.parametrize("counts", CASES)
def test_shares_add_up_grow_with_the_total_and_never_exceed_what_there_is(counts):
    whole, before = sum(counts), [0] * len(counts)
    for total in range(3 * whole):
        quotas = proportional(counts, total)
        assert sum(quotas) == total
        assert all(new >= old for new, old in zip(quotas, before, strict=True)), total
        assert all(abs(q - total * c / whole) < 1.5 for q, c in zip(quotas, counts, strict=True))
        if total <= whole:
            assert all(quota <= count for quota, count in zip(quotas, counts, strict=True))
        before = quotas
    assert proportional(counts, whole) == counts


def test_proportions_by_hand():
    assert proportional([60, 30, 10], 10) == [6, 3, 1]
    assert proportional([1, 1, 1], 1) == [1, 0, 0]  # ties go to the first class
    assert proportional([0, 3], 7) == [0, 7]


def test_first_of_each_class_keeps_the_order():
    labels = torch.tensor([1, 0, 1, 1, 0])
    pixels = torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1)
    images = LabelledImages(pixels, labels, ("a", "b"))
    assert rank_in_class(labels, 2).tolist() == [0, 0, 1, 2, 1]
    chosen = first_of_each_class(images, [2, 3], 3)
    assert chosen.images.flatten().tolist() == [0, 1, 2]


def numbered(counts):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    pixels = torch.arange(len(labels), dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return LabelledImages(pixels, labels, tuple("abcdefg"[: len(counts)]))


@pytest.mark.parametrize("counts", CASES)
def test_a_folder_gives_nested_random_parts_without_repeats(counts):
    source = FixedFolder(numbered(counts), seed=3)
    for repetition in range(3):
        smaller = set()
        for count in range(1, source.most + 1):
            drawn = source.draw(count, repetition)
            ids = set(drawn.images.flatten().tolist())
            assert len(ids) == len(drawn) == count
            assert smaller <= ids
            smaller = ids
        assert drawn.counts == counts


def test_a_folder_gives_another_part_to_each_repetition():
    source = FixedFolder(numbered([40, 40]), seed=3)
    parts = [set(source.draw(20, k).images.flatten().tolist()) for k in range(4)]
    assert len({frozenset(part) for part in parts}) == 4
    again = FixedFolder(numbered([40, 40]), seed=3).draw(20, 2)
    assert set(again.images.flatten().tolist()) == parts[2]


@pytest.fixture(scope="module")
def sampler(digits):
    sampler = PCAGaussian(digits.train.image)
    sampler.fit(digits.train)
    return sampler


def test_fresh_draws_share_no_image_between_repetitions(sampler):
    source = FreshDraws(sampler, [10] * 10, most=200, seed=5)
    drawn = [source.draw(100, k) for k in range(3)]
    hashes = [set(image_hashes(one.images)) for one in drawn]
    assert [one.counts for one in drawn] == [[10] * 10] * 3
    assert len(hashes[0] | hashes[1] | hashes[2]) == 300
    other = FreshDraws(sampler, [10] * 10, most=200, seed=6).draw(100, 0)
    assert not set(image_hashes(other.images)) & set().union(*hashes)


def test_fresh_draws_are_nested_and_can_be_had_again_in_any_order(sampler):
    source = FreshDraws(sampler, [10] * 10, most=200, seed=5)
    small, large = source.draw(50, 1), source.draw(200, 1)
    assert set(image_hashes(small.images)) < set(image_hashes(large.images))
    source.draw(10, 0)
    assert torch.equal(source.draw(50, 1).images, small.images)


def test_fresh_draws_keep_the_proportions_of_the_set(sampler):
    counts = [30, 0, 5, 5, 5, 5, 5, 5, 5, 5]
    assert FreshDraws(sampler, counts, most=140, seed=0).draw(70, 0).counts == counts
