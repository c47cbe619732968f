import itertools

import pytest
import torch

from synthgen.training.data import Batches, ClassBalanced, Order, Shuffled
from synthgen.types import LabelledImages

COUNTS = [50, 7, 3, 1]


@pytest.fixture
def real():
    labels = torch.repeat_interleave(torch.arange(4), torch.tensor(COUNTS))
    images = torch.arange(len(labels), dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return LabelledImages(images, labels, tuple("abcd"))


def take(batches, count):
    return list(itertools.islice(batches, count))


def test_balanced_batches_hold_each_class_equally_often(real):
    for _, labels in take(Batches(real, 16, seed=3, order=ClassBalanced()), 20):
        assert torch.bincount(labels, minlength=4).tolist() == [4, 4, 4, 4]
    for _, labels in take(Batches(real, 6, seed=3, order=ClassBalanced()), 20):
        counts = torch.bincount(labels, minlength=4)
        assert counts.max() - counts.min() <= 2


def test_shuffled_batches_hold_classes_as_often_as_they_are(real):
    labels = torch.cat([labels for _, labels in take(Batches(real, 61, seed=3), 5)])
    assert torch.bincount(labels).tolist() == [5 * count for count in COUNTS]


def test_each_class_is_gone_through_before_an_image_repeats(real):
    batches = take(Batches(real, 4, seed=3, order=ClassBalanced()), 100)
    shown = torch.cat([images.flatten() for images, _ in batches]).long()
    labels = torch.cat([labels for _, labels in batches])
    for label, count in enumerate(COUNTS):
        members = shown[labels == label][: 100 // count * count].reshape(-1, count)
        expected = (real.labels == label).nonzero().flatten().tolist()
        assert all(sorted(one.tolist()) == expected for one in members)
    passes = shown[labels == 0].reshape(2, 50)
    assert not torch.equal(passes[0], passes[1])


@pytest.mark.parametrize("order", [Shuffled, ClassBalanced])
def test_a_resumed_stream_gives_the_same_batches(order, real):
    whole = take(Batches(real, 6, seed=3, order=order()), 30)
    rest = take(Batches(real, 6, seed=3, order=order(), first_image=6 * 17), 13)
    for (images, labels), (again, same) in zip(whole[17:], rest, strict=True):
        assert torch.equal(images, again)
        assert torch.equal(labels, same)


@pytest.mark.parametrize("order", [Shuffled, ClassBalanced])
def test_processes_share_every_batch(order, real):
    whole = take(Batches(real, 6, seed=3, order=order()), 9)
    parts = [
        take(Batches(real, 6, seed=3, order=order(), rank=rank, world_size=2), 9) for rank in (0, 1)
    ]
    for (images, _), (first, _), (second, _) in zip(whole, *parts, strict=True):
        assert torch.equal(images, torch.cat([first, second]))


@pytest.mark.parametrize("order", [Shuffled, ClassBalanced])
def test_seeds_and_data_are_not_mixed_up_in_one_object(order, real):
    one = order()
    other = torch.cat([real.labels.flip(0), real.labels])
    first = one.positions(real.labels, 0, 0, 40)
    assert not torch.equal(first, one.positions(real.labels, 1, 0, 40))
    assert torch.equal(one.positions(other, 0, 0, 40), order().positions(other, 0, 0, 40))
    assert torch.equal(first, one.positions(real.labels, 0, 0, 40))


def test_a_class_without_images_is_left_out():
    labels = torch.tensor([0, 0, 2, 2, 2])
    found = labels[ClassBalanced().positions(labels, 0, 0, 20)]
    assert torch.bincount(found).tolist() == [10, 0, 10]


def test_orders_say_in_which_shares_they_show_classes(real):
    class Backwards(Shuffled):
        shown = Order.shown

        def positions(self, labels, seed, first, count):
            return len(labels) - 1 - (first + torch.arange(count)).clamp_max(len(labels) - 1)

    assert torch.equal(Shuffled().shown(real.labels, 0, 0), real.labels)
    assert ClassBalanced().shown(real.labels, 0, 500).tolist() == [0, 1, 2, 3]
    assert torch.bincount(Backwards().shown(real.labels, 0, 0)).tolist() == COUNTS
    assert Backwards().shown(real.labels, 0, 200).unique().tolist() == [0]  # of its last images
