import itertools

import pytest
import torch

from synthgen.training.data import Batches
from synthgen.types import LabelledImages


@pytest.fixture
def real():
    images = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1)
    return LabelledImages(images, torch.arange(10), tuple("abcdefghij"))


def take(batches, count):
    return [labels for _, labels in itertools.islice(batches, count)]


def test_each_pass_shows_every_image_once_in_a_new_order(real):
    passes = torch.cat(take(Batches(real, 5, seed=3), 6)).reshape(3, 10)
    for one in passes:
        assert sorted(one.tolist()) == list(range(10))
    assert not torch.equal(passes[0], passes[1])


def test_a_resumed_stream_continues_where_it_stopped(real):
    whole = take(Batches(real, 4, seed=3), 12)
    rest = take(Batches(real, 4, seed=3, first_image=20), 7)
    assert all(torch.equal(a, b) for a, b in zip(whole[5:], rest, strict=True))


def test_processes_share_every_batch(real):
    whole = take(Batches(real, 4, seed=3), 5)
    parts = [take(Batches(real, 4, seed=3, rank=rank, world_size=2), 5) for rank in (0, 1)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(batch, torch.cat([first, second]))


def test_sets_smaller_than_a_batch_are_repeated(real):
    (labels,) = take(Batches(real, 25, seed=0), 1)
    assert torch.bincount(labels).tolist().count(2) + torch.bincount(labels).tolist().count(3) == 10


def test_images_and_labels_stay_together(real):
    for images, labels in itertools.islice(Batches(real, 4, seed=1), 5):
        assert torch.equal(images.flatten().long(), labels)


def test_another_seed_is_another_order(real):
    assert not torch.equal(
        torch.cat(take(Batches(real, 10, seed=0), 2)), torch.cat(take(Batches(real, 10, seed=1), 2))
    )
