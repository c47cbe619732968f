"""Statistics of an averaged generator's batch norm, estimated anew when training ends."""

import sys

import pytest
import torch
from torch import nn

from synthgen.data import Digits, prepare
from synthgen.gan.module import recalibrate
from synthgen.training.data import ClassBalanced, Shuffled
from synthgen.types import ImageSpec, LabelledImages

IMAGE = ImageSpec(1, 4, 4, ("a", "b"))


@pytest.fixture
def generator(tiny):
    torch.manual_seed(0)
    found = tiny.generator(IMAGE, norm=nn.BatchNorm1d)
    with torch.no_grad():
        found.embedding.weight.copy_(torch.tensor([-2.0, 2.0])[:, None].expand(2, 8))
        found.inner[1].running_mean.fill_(100.0)
    return found


def expected_statistics(generator, share_of_b):
    """Of W (z + e) + b with z from N(0, I) and e one of two constants: known exactly."""
    linear = generator.inner[0]
    total = linear.weight.sum(dim=1)  # W e is ±2 times that
    mean = linear.bias + (4 * share_of_b - 2) * total
    variance = linear.weight.square().sum(dim=1) + 16 * share_of_b * (1 - share_of_b) * total**2
    return mean.detach(), variance.detach()


def labels_with(share_of_b, count=1000):
    return (torch.arange(count) < share_of_b * count).long()


@pytest.mark.parametrize("share_of_b", [0.0, 0.25])
def test_they_become_those_of_fresh_latents_and_the_classes_as_they_are(generator, share_of_b):
    recalibrate(generator, labels_with(share_of_b), seed=1, batches=200, batch_size=256)
    mean, variance = expected_statistics(generator, share_of_b)
    layer = generator.inner[1]
    assert torch.allclose(layer.running_mean, mean, atol=0.03 * variance.sqrt().max())
    assert torch.allclose(layer.running_var, variance, rtol=0.04)


def test_each_batch_counts_the_same(generator):
    """The mean over 2 batches is that of the single batches, whose draws don't depend on how many
    there are."""
    layer, found = generator.inner[1], []
    for batches in (1, 2):
        recalibrate(generator, labels_with(0.5), seed=1, batches=batches)
        found.append(layer.running_mean.clone())
    assert int(layer.num_batches_tracked) == 2
    assert not torch.equal(*found)
    random_second = 2 * found[1] - found[0]  # the second batch's mean
    mean, variance = expected_statistics(generator, 0.5)
    assert ((random_second - mean).abs() < 5 * (variance / 64).sqrt()).all()


def test_they_follow_from_the_seed_and_leave_the_generator_as_it_was(generator):
    before = {name: value.clone() for name, value in generator.named_parameters()}
    generator.train()
    found = []
    for seed in (1, 1, 2):
        recalibrate(generator, labels_with(0.5), seed=seed, batches=3)
        found.append(generator.inner[1].running_mean.clone())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert generator.training
    assert all(layer.training for layer in generator.modules())
    assert generator.inner[1].momentum == 0.1
    assert all(torch.equal(value, before[name]) for name, value in generator.named_parameters())


@pytest.mark.parametrize(("order", "share"), [(Shuffled(), 0.05), (ClassBalanced(), 0.5)])
def test_classes_come_as_often_as_training_showed_them(tiny, order, share):
    """One image in 20 is of class b; a balanced order shows it every second time."""
    images = LabelledImages(
        torch.zeros(200, 1, 4, 4, dtype=torch.uint8),
        labels_with(0.95, 200).sub(1).abs(),
        ("a", "b"),
    )
    gan = tiny(IMAGE, generator=tiny.generator(IMAGE, norm=nn.BatchNorm1d))
    gan.order = order
    with torch.no_grad():
        rows = torch.tensor([-2.0, 2.0])[:, None].expand(2, 8)
        gan.ema.average.embedding.weight.copy_(rows)
    found = gan.finish(images).generator
    mean, variance = expected_statistics(found, share)
    off = ((found.inner[1].running_mean - mean).abs() / variance.sqrt()).max()
    assert off < 0.06  # the other share is off by about 1
    other, _ = expected_statistics(found, 0.55 - share)
    assert ((found.inner[1].running_mean - other).abs() / variance.sqrt()).max() > 0.3


def test_a_run_hands_its_order_to_the_statistics(tiny, monkeypatch, tmp_path):
    from synthgen.gan import module
    from synthgen.training.train import train

    seen = []
    # The tiny generator can't be written down, which is another matter.
    monkeypatch.setattr(sys.modules["synthgen.training.train"], "export", lambda *_: tmp_path)
    monkeypatch.setattr(module, "recalibrate", lambda average, labels, seed: seen.append(labels))
    splits = prepare(Digits(at_most=[5, *[20] * 9]))
    gan = tiny(splits.train.image, generator=tiny.generator(splits.train.image))
    train(gan, splits, tmp_path / "run", max_images=64, previews=0, order=ClassBalanced())
    assert seen[0].tolist() == list(range(10))


def test_the_end_of_training_does_it_where_there_is_a_batch_norm(tiny):
    images = LabelledImages(
        torch.zeros(4, 1, 4, 4, dtype=torch.uint8), labels_with(0.5, 4), ("a", "b")
    )
    for norm, changes in ((nn.BatchNorm1d, True), (nn.LayerNorm, False)):
        gan = tiny(IMAGE, generator=tiny.generator(IMAGE, norm=norm))
        before = {name: value.clone() for name, value in gan.ema.average.state_dict().items()}
        sampler = gan.finish(images)
        after = sampler.generator.state_dict()
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert bool(changed) == changes
        assert all("running" in name or "tracked" in name for name in changed)
