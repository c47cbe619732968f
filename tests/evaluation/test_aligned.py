"""Distances that forgive what leaves a copy a copy, and nothing else."""

import pytest
import torch

from synthgen.evaluation.copy_search import KINDS, LONGEST, AlignedSpace, margin, small, unit_rows


def pictures(count, shape, seed=0):
    """Smooth random images."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, shape[0], 5, 5, generator=random)
    fine = torch.nn.functional.interpolate(coarse, size=shape[1:], mode="bicubic")
    return (128 + 40 * fine).clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 40, 80), (3, 16, 12)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_copy_lies_near_its_original(shape, kind):
    train = pictures(60, shape)
    space = AlignedSpace(train)
    distances, positions = space.nearest(KINDS[kind](train[:8]), 2, kind)
    assert torch.equal(positions[:, 0], torch.arange(8))
    assert (distances[:, 0] < 0.6 * distances[:, 1]).all()
    if kind == "mirror":
        assert distances[:, 0].max() < 1e-2


def test_the_candidates_miss_little():
    """Against all training images by all views; an image unlike all others may find the second."""
    train, queries = pictures(300, (1, 28, 28)), pictures(40, (1, 28, 28), 1)
    space = AlignedSpace(train)
    distances, positions = space.nearest(queries, 1, "queries")
    every = space._compare(queries, torch.arange(300).repeat(40, 1))
    assert (positions[:, 0] == every.argmin(1)).double().mean() > 0.9
    assert (distances[:, 0].float() < 1.05 * every.min(1).values).all()


def test_constant_images_are_equal_to_each_other_and_to_nothing_else():
    train = torch.cat([torch.full((3, 1, 8, 8), 40, dtype=torch.uint8), pictures(30, (1, 8, 8))])
    distances, positions = AlignedSpace(train).nearest(torch.zeros(1, 1, 8, 8).byte(), 5, "black")
    assert sorted(positions[0, :3].tolist()) == [0, 1, 2]
    assert distances[0, 2] == 0
    assert distances[0, 3] > 0.5


def test_sides_and_margins():
    assert [margin(side) for side in (2, 4, 5, 6, 8, 28, 32)] == [0, 0, 0, 1, 1, 2, 3]
    assert small(pictures(2, (3, 100, 50))).shape == (2, 3, LONGEST, 16)
    assert unit_rows(pictures(4, (1, 8, 8))).norm(dim=1) == pytest.approx(1, abs=1e-6)
    tiny = torch.arange(12, dtype=torch.uint8).view(3, 1, 2, 2) * 20
    assert AlignedSpace(tiny).nearest(tiny, 9, "tiny")[0].shape == (3, 3)
