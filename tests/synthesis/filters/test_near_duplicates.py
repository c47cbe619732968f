"""Images of a set that resemble earlier ones, whatever the parts that the set comes in."""

import pytest
import torch

from synthgen.synthesis.filters import NearDuplicates
from synthgen.synthesis.filters.near_duplicates import earlier_rows


@pytest.fixture(scope="module")
def fitted(train):
    one = NearDuplicates()
    one.fit(train, 0)
    return one


def settled(one, images, labels, size):
    one.begin()
    parts = zip(images.split(size), labels.split(size), strict=True)
    verdicts = [one.examine(*part) for part in parts]
    return torch.cat([v.keep for v in verdicts]), torch.cat([v.scores for v in verdicts])


def test_a_real_set_passes(fitted, fresh):
    keep, _ = settled(fitted, fresh.images, fresh.labels, 100)
    assert keep.double().mean() > 0.98


def test_repetitions_are_caught_and_the_first_one_stays(fitted, fresh, shaken):
    some = fresh.subset(range(200))
    images = torch.cat([some.images, some.images, shaken(some.images)])
    keep, scores = settled(fitted, images, some.labels.repeat(3), 600)
    assert keep[:200].double().mean() > 0.98
    assert not keep[200:400].any()
    assert scores[200:400][keep[:200]].max() == 0
    assert keep[400:].double().mean() < 0.05


@pytest.mark.parametrize("size", [1, 37, 256, 1000])
def test_the_parts_leave_no_trace(fitted, fresh, shaken, size):
    images = torch.cat([fresh.images, shaken(fresh.images, 20.0)])
    labels = fresh.labels.repeat(2)
    expected = settled(fitted, images, labels, len(images))
    assert 0.05 < expected[0].double().mean() < 0.95
    keep, scores = settled(fitted, images, labels, size)
    assert torch.equal(keep, expected[0])
    assert torch.equal(scores, expected[1])


def test_a_rejected_image_rejects_no_other(train):
    """Three images in a row, each near the next: the third is kept, for the second one is gone."""
    one = NearDuplicates(threshold=0.5)
    one.fit(train, 0)
    start = train.images[0].float()
    step = torch.zeros_like(start)
    step[0, 3, 3] = 255 * 0.4 * float(one.usual[train.labels[0]]) / 2  # in [-1, 1]: 255 is 2
    start[0, 3, 3] = 0
    row = torch.stack([start, start + step, start + 2 * step]).clamp(0, 255).round()
    one.begin()
    verdicts = one.examine(row.to(torch.uint8), train.labels[:1].repeat(3))
    assert verdicts.keep.tolist() == [True, False, True]
    assert verdicts.scores[0] == 100


def test_rows_have_fewer_than_half_as_many_earlier_ones_in_half_of_a_set():
    whole = torch.arange(2).repeat_interleave(10)
    assert earlier_rows([whole]) == 4.5  # 0, 1, …, 9 of its class
    assert earlier_rows([whole[::2], whole[1::2]]) == 2
    assert earlier_rows([torch.tensor([0, 1, 1, 1])]) == 0.75


def test_another_class_is_not_compared(fitted, fresh):
    image = fresh.images[:1].repeat(2, 1, 1, 1)
    fitted.begin()
    assert fitted.examine(image, torch.tensor([0, 1])).keep.all()


def test_begin_forgets(fitted, fresh):
    for _ in range(2):
        fitted.begin()
        assert fitted.examine(fresh.images[:1], fresh.labels[:1]).keep.all()
