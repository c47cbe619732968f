import pytest
import torch

from synthgen.gan.augmentations import ScheduledAugment, XFlip
from synthgen.seeds import BatchGenerator
from synthgen.training.schedules import Constant, Linear


def rng():
    return BatchGenerator().manual_seed(0)


def test_its_probability_follows_the_progress_and_stays_where_nothing_leaks():
    ramp = torch.linspace(-1, 1, 8).expand(4000, 1, 8, 8)
    augmentation = ScheduledAugment({"flip": XFlip()}, Linear(0.0, 1.6))
    assert torch.equal(augmentation(ramp, rng()), ramp)  # no progress told yet
    for progress, probability in ((0.25, 0.4), (0.5, 0.8), (1.0, 0.8), (0.0, 0.0)):
        augmentation.advance(progress)
        assert augmentation.probability == pytest.approx(probability)
    augmentation.advance(0.25)
    turned = (augmentation(ramp, rng()) != ramp).flatten(1).any(1).double().mean()
    assert turned == pytest.approx(0.4 / 2, abs=0.03)  # half of the flips leave an image as it is


def test_a_probability_below_zero_counts_as_zero():
    augmentation = ScheduledAugment({"flip": XFlip()}, Constant(-0.5))
    augmentation.advance(0.5)
    assert augmentation.probability == 0
