"""Densities over principal components: what each must be in cases that are known."""

import numpy as np
import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.images import to_float
from synthgen.samplers import (
    Bootstrap,
    GaussianMixture,
    Interpolation,
    KernelDensity,
    ShuffledLabels,
)
from synthgen.samplers.statistical import leave_one_out_bandwidth
from synthgen.seeds import row_seeds
from synthgen.types import LabelledImages

ALL = [GaussianMixture, KernelDensity, Interpolation]


def fitted(cls, real, **settings):
    sampler = cls(real.image, **settings)
    sampler.fit(real)
    return sampler


def drawn(sampler, label, count=2000):
    return sampler.sample(torch.full((count,), label), row_seeds(0, 0, count)).images


@pytest.fixture
def two_blobs():
    """One class, two clusters of grey images far apart, and nothing in between."""
    random = torch.Generator().manual_seed(1)
    centre = torch.where(torch.arange(600) % 2 == 0, 60.0, 200.0)[:, None]
    pixels = centre + 6 * torch.randn(600, 16, generator=random)
    images = pixels.round().clamp(0, 255).to(torch.uint8).view(-1, 1, 4, 4)
    return LabelledImages(images, torch.zeros(600, dtype=torch.int64), ("only",))


@pytest.mark.parametrize("cls", ALL)
def test_clusters_stay_apart(cls, two_blobs):
    """One Gaussian would put most draws in between."""
    levels = drawn(fitted(cls, two_blobs), 0).double().flatten(1).mean(1)
    near = ((levels - 60).abs() < 25) | ((levels - 200).abs() < 25)
    assert near.double().mean() > 0.97
    assert 0.4 < (levels < 130).double().mean() < 0.6


@pytest.mark.parametrize("cls", ALL)
def test_each_class_looks_like_itself_and_varies(cls, digits):
    sampler = fitted(cls, digits)
    means = torch.stack([to_float(digits.of_class(k).images).mean(0) for k in range(10)]).flatten(1)
    for label in range(10):
        images = to_float(drawn(sampler, label, 400)).flatten(1)
        real = to_float(digits.of_class(label).images).flatten(1)
        right, expected = (
            float((torch.cdist(one, means).argmin(1) == label).double().mean())
            for one in (images, real)
        )
        assert right > expected - 0.12
        # A Gaussian loses a third of its variance where black and white cut it off.
        assert float(images.var(0).sum()) == pytest.approx(float(real.var(0).sum()), rel=0.45)


@pytest.mark.parametrize("cls", ALL)
def test_fitting_twice_gives_the_same_numbers(cls, digits):
    first, second = fitted(cls, digits).state_dict(), fitted(cls, digits).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("cls", ALL)
def test_few_images_of_a_class_are_enough_and_too_few_are_named(cls, digits):
    rare = digits.subset([0, *(digits.labels == 1).nonzero()[:9, 0].tolist()])
    few = LabelledImages(rare.images[1:], torch.tensor([0] * 5 + [1] * 4), ("cat", "dog"))
    assert len(drawn(fitted(cls, few), 1, 10).unique(dim=0)) > 1
    with pytest.raises(SynthgenError, match="'dog' has 1 training images"):
        fitted(cls, LabelledImages(few.images, torch.tensor([0] * 8 + [1]), ("cat", "dog")))


def test_a_mixture_gets_a_gaussian_per_so_many_images(digits):
    sampler = fitted(GaussianMixture, digits, gaussians=3, min_images=80)
    assert ((sampler.weights > 0).sum(1) == 2).all()  # about 180 of each digit
    assert sampler.weights.sum(1) == pytest.approx(torch.ones(10), abs=1e-5)


def test_bandwidth_0_repeats_the_images_and_a_large_one_is_a_gaussian(digits):
    copies = drawn(fitted(KernelDensity, digits, bandwidth=0.0, components=64), 3, 50)
    nearest = torch.cdist(to_float(copies).flatten(1), to_float(digits.images).flatten(1)).amin(1)
    assert nearest.max() < 0.05
    spread = [
        to_float(drawn(fitted(KernelDensity, digits, bandwidth=h, components=8), 3)).var(0).sum()
        for h in (0.0, 0.5)
    ]
    assert float(spread[1] / spread[0]) == pytest.approx(1 + 0.5**2, rel=0.1)


def test_the_bandwidth_of_a_gaussian_is_about_scotts():
    points = np.random.default_rng(0).standard_normal((1500, 4))
    assert leave_one_out_bandwidth(points) == pytest.approx(1500 ** (-1 / 8), rel=0.3)


def test_the_bandwidth_of_tight_clusters_is_small():
    random = np.random.default_rng(0)
    points = random.choice([-1.0, 1.0], (1500, 2)) + 0.02 * random.standard_normal((1500, 2))
    assert leave_one_out_bandwidth(points) < 0.12


def test_interpolations_lie_on_lines_between_neighbours(digits):
    one = digits.of_class(0)
    real = LabelledImages(one.images, torch.zeros(len(one)).long(), ("zero",))
    sampler = fitted(Interpolation, real, neighbours=3, components=64)
    pixels = to_float(one.images).flatten(1).double()
    distances = torch.cdist(pixels, pixels).fill_diagonal_(float("inf"))
    near = distances.topk(3, largest=False).indices
    start = pixels[:, None].expand(-1, 3, -1).reshape(-1, 64)
    direction = pixels[near].reshape(-1, 64) - start
    shares = []
    for image in to_float(drawn(sampler, 0, 40)).flatten(1).double():
        share = ((image - start) * direction).sum(1) / direction.square().sum(1)
        off = (start + share.clamp(0, 1)[:, None] * direction - image).norm(dim=1)
        assert off.min() < 0.1
        shares.append(float(share[off.argmin()]))
    assert min(shares) < 0.25
    assert max(shares) > 0.75


def test_what_holds_real_images_says_so():
    assert [cls.exposes_real for cls in ALL] == [False, True, True]
    assert ShuffledLabels.exposes_real


def test_shuffled_labels_are_real_images_that_mean_nothing(digits):
    sampler = fitted(ShuffledLabels, digits)
    real = {bytes(image.numpy()) for image in digits.images}
    images = drawn(sampler, 3)
    assert {bytes(image.numpy()) for image in images} <= real
    true = {bytes(i.numpy()): n for i, n in zip(digits.images, digits.labels.tolist(), strict=True)}
    meant = torch.arange(10).repeat_interleave(torch.tensor(digits.counts)).tolist()
    right = [true[bytes(i.numpy())] == n for i, n in zip(sampler.images, meant, strict=True)]
    assert np.mean(right) == pytest.approx(0.1, abs=0.025)
    assert sampler.first.diff().tolist() == digits.counts
    other = fitted(ShuffledLabels, digits, seed=1)
    assert not torch.equal(other.images, sampler.images)
    assert not torch.equal(fitted(Bootstrap, digits).images, sampler.images)


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (GaussianMixture, {"gaussians": 0}),
        (GaussianMixture, {"components": 0}),
        (KernelDensity, {"bandwidth": -1.0}),
        (Interpolation, {"neighbours": 0}),
    ],
)
def test_impossible_settings_are_refused(cls, settings, digits):
    with pytest.raises(SynthgenError, match=next(iter(settings))):
        cls(digits.image, **settings)
