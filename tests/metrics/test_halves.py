"""Intervals of precision, recall, density and coverage over draws of both sets."""

import math

import pytest
import torch

from synthgen import neighbors
from synthgen.metrics import manifold, manifold_estimates
from synthgen.metrics.manifold import (
    HALVINGS,
    Scatter,
    halved,
    membership,
    own_radii,
    points,
    scatter_of,
)

NAMES = ("precision", "recall", "density", "coverage")


def draw(count, seed, weights):
    """Ten curved-up clusters of six dimensions in 32, and a little noise."""
    shape = torch.Generator().manual_seed(99)
    centres = 2 * torch.randn(10, 32, generator=shape)
    axes = torch.randn(10, 6, 32, generator=shape)
    random = torch.Generator().manual_seed(seed)
    cluster = torch.multinomial(weights, count, replacement=True, generator=random)
    inner = torch.randn(count, 6, generator=random)
    noise = 0.1 * torch.randn(count, 32, generator=random)
    return centres[cluster] + torch.einsum("ni,nid->nd", inner, axes[cluster]) + noise


def held(n_real, n_fake, draws):
    """How often each interval holds the mean over draws of both sets."""
    even, uneven = torch.ones(10), torch.tensor([0.2, 2.0] + [1.0] * 8)
    found = [
        manifold_estimates(
            real=draw(n_real, 2 * seed, even), fake=draw(n_fake, 2 * seed + 1, uneven)
        )
        for seed in range(draws)
    ]
    shares = {}
    for name in NAMES:
        mean = sum(one[name].value for one in found) / draws
        shares[name] = sum(one[name].low <= mean <= one[name].high for one in found) / draws
    return shares


def test_intervals_hold_the_mean_where_the_sets_are_unequal():
    """With balls taken as fixed precision and density held it in about half of such draws."""
    shares = held(60, 300, 40)
    assert all(share >= 0.8 for share in shares.values()), shares
    assert 0.91 <= sum(shares.values()) / 4 <= 0.99, shares


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_real", "n_fake"), [(359, 5000), (3000, 300), (1000, 1000), (200, 200), (5000, 500)]
)
def test_intervals_hold_the_mean_as_often_as_they_say(n_real, n_fake):
    """0.95 is announced. Each value's own share of 150 draws is known to ± 0.045."""
    draws = 150
    shares = held(n_real, n_fake, draws)
    assert 0.92 <= sum(shares.values()) / 4 <= 0.98, shares
    slack = 2.5 * math.sqrt(0.95 * 0.05 / draws)
    assert all(0.95 - slack - 0.03 <= share for share in shares.values()), shares


def by_hand(real, fake, k_precision, k_density):
    found = membership(real, fake, k_precision, k_density)
    return found.fake_inside, found.real_inside, found.density, found.covered


@pytest.mark.parametrize("sparse", [0.0, 1.1])
def test_each_half_is_measured_by_itself_whichever_pairs_are_looked_at(sparse, monkeypatch):
    monkeypatch.setattr(manifold, "SPARSE", sparse)
    for room in (manifold, neighbors, manifold):
        monkeypatch.setattr(room, "CHUNK", 64)
    even = torch.ones(10)
    real, fake = draw(181, 1, even), draw(240, 2, even) + 0.3
    found = halved(*points(real, fake, 5), 3, 5)
    for split in (0, 7):
        for side in (True, False):
            ours, theirs = found.real_half[split] == side, found.fake_half[split] == side
            expected = by_hand(*points(real[ours], fake[theirs], 5), 3, 5)
            measured = (
                found.fake_inside[split, theirs],
                found.real_inside[split, ours],
                found.density[split, theirs],
                found.covered[split, ours],
            )
            for one, other in zip(measured, expected, strict=True):
                assert torch.equal(one.double(), other.double())
    assert (found.real_half.sum(1) == 90).all()
    assert not torch.equal(found.real_half[0], found.real_half[1])


def test_radii_reach_to_the_kth_of_the_own_half():
    values = torch.tensor([[0.0], [1.0], [3.0], [6.0], [10.0], [15.0]])
    real, _ = points(values, values, 2)
    half = torch.tensor([[True, False, True, False, True, False]])
    first, second = own_radii(real, half, (1, 2))
    assert first[0].tolist() == pytest.approx([9, 25, 9, 25, 49, 81], rel=1e-5)
    assert second[0].tolist() == pytest.approx([100, 196, 49, 81, 100, 196], rel=1e-5)


def test_the_scatter_of_independent_images_is_the_binomial_one():
    random = torch.Generator().manual_seed(0)
    values = (torch.rand(1, 4000, generator=random) < 0.3).expand(HALVINGS, -1)
    scatter = scatter_of(values, manifold.halves(4000, random))
    assert scatter.variance == pytest.approx(0.3 * 0.7 / 4000, rel=0.6)
    estimate = scatter.share(0.3, 4000, 4000)
    assert estimate.high - estimate.low == pytest.approx(2 * 2.086 * 0.00725, rel=0.4)


def test_where_nothing_scatters_the_smaller_set_says_how_little_is_known():
    assert Scatter(0.0, 1.0).share(1.0, 5000, 100).low == pytest.approx(0.958, abs=0.001)
    assert Scatter(0.0, 1.0).mean(1.2) == (1.2, 1.2, 1.2)
