"""The tail beyond the smallest score: chances come true, and rank alone can't reach as far."""

import pytest
import torch

from synthgen.evaluation.copy_tests import Usual, exceedance, fewest_flagged, hits_needed


def power_law(count, exponent, seed):
    """Scores with P(score < t) = (2 t)^exponent below a half."""
    uniform = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 0.5 * uniform ** (1 / exponent)


@pytest.mark.parametrize("count", [40, 300, 2000])
def test_chances_of_the_smallest_of_many_come_true(count):
    """The smallest of n new scores: the chance, times n, is below a level as often as it says."""
    for level in (0.5, 0.1):
        seen = []
        for seed in range(400):
            usual = Usual(power_law(count, 8.0, seed).sort().values)
            new = power_law(500, 8.0, 10_000 + seed)
            seen.append(float(500 * usual.chance(new).min()) < level)
        share = sum(seen) / len(seen)
        assert share < level + 3 * (level / 400) ** 0.5
        assert share > level / 10  # and not by never speaking


def test_a_chance_is_a_share_within_the_tail_and_falls_beyond_it():
    usual = Usual(power_law(2000, 8.0, 0).sort().values)
    edge = usual.scores[20]
    chances = usual.chance(torch.stack([edge * 2, edge * 0.999, edge / 2, edge / 8]))
    assert chances[0] == 1
    assert chances[1] == pytest.approx(21 / 2001, rel=0.02)
    assert chances[2] < chances[1] / 20
    assert chances[3] < 1e-6  # the smallest rank among 2,000 is 5e-4


def test_a_natural_twin_is_not_called_a_copy_by_itself():
    usual = Usual(power_law(2000, 60.0, 0).sort().values)
    scores = torch.tensor([0.2, 0.1], dtype=torch.float64)
    assert usual.chance(scores).max() < 1e-6
    assert usual.alone(scores, 100)[0] == 1
    assert usual.alone(scores, 100)[1] < 1e-4


def test_a_training_image_is_one_witness_however_often_it_is_met():
    usual = Usual(torch.linspace(0.5, 1, 100, dtype=torch.float64))
    scores = torch.full((50,), 0.4, dtype=torch.float64)
    assert usual.together(scores, torch.arange(50), 200) < 1e-6
    assert usual.together(scores, torch.zeros(50).long(), 200) > 0.3


def test_the_fewest_that_are_noticed():
    usual = Usual(torch.linspace(0.5, 1, 100, dtype=torch.float64))
    sure = torch.full((60,), 1e-4, dtype=torch.float64)
    assert fewest_flagged(usual, sure, 1000, 0.95) == 1
    near = torch.full((60,), 0.3, dtype=torch.float64)  # below all, but never alone
    assert fewest_flagged(usual, near, 1000, 0.95) == hits_needed(1000, 1, 100, 0.005)
    assert fewest_flagged(usual, torch.ones(60).double(), 1000, 0.8) is None


def test_the_fewest_hits_are_just_enough():
    needed = hits_needed(1000, 2, 100, 0.01)
    assert exceedance(needed, 1000, 2, 100) < 0.01 <= exceedance(needed - 1, 1000, 2, 100)
    assert hits_needed(5, 1, 3, 1e-9) == 6
