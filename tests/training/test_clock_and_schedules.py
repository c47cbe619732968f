import pytest
import torch

from synthgen.training.module import EMA
from synthgen.training.schedules import Clock, Constant, Cosine, Linear


def test_progress_is_the_larger_share():
    clock = Clock()
    clock.start(max_images=100, max_seconds=1000)
    clock.tick(30)
    assert clock.progress == pytest.approx(0.3, abs=1e-3)
    clock.seconds = 900
    assert clock.progress == pytest.approx(0.9)
    clock.tick(200)
    assert clock.progress == 1
    assert clock.finished


def test_a_clock_needs_a_limit():
    with pytest.raises(ValueError, match="max_images or max_seconds"):
        Clock().start(None, None)


def test_the_clock_survives_a_checkpoint():
    clock = Clock()
    clock.start(1000, None)
    clock.tick(640)
    clock.seconds = 12.5
    other = Clock()
    other.load_state_dict(clock.state_dict())
    assert (other.images_seen, other.seconds) == (640, 12.5)


@pytest.mark.parametrize("schedule", [Cosine(2.0, 0.5), Linear(2.0, 0.5), Cosine(2.0, 0.5, 0.25)])
def test_schedules_reach_their_ends_and_fall_between(schedule):
    assert schedule(0) == pytest.approx(2.0)
    assert schedule(1) == pytest.approx(0.5)
    values = [schedule(step / 20) for step in range(21)]
    assert values == sorted(values, reverse=True)


def test_half_way_values():
    assert Cosine(2.0, 1.0)(0.5) == pytest.approx(1.5)
    assert Linear(2.0, 1.0)(0.25) == pytest.approx(1.75)
    assert Constant(3.0)(0.7) == 3.0
    with pytest.raises(ValueError, match="until"):
        Cosine(1, 0, until=0)


def test_ema_halves_the_distance_in_one_half_life():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    ema = EMA(network, half_life=1000)
    torch.nn.init.ones_(network.weight)
    for _ in range(10):
        ema.update(network, batch=100, images_seen=10**9)
    assert ema.average.weight.item() == pytest.approx(0.5, abs=1e-5)


def test_ema_follows_closely_at_the_start():
    network = torch.nn.Linear(1, 1, bias=False)
    ema = EMA(network, half_life=10**6)
    torch.nn.init.constant_(network.weight, 5.0)
    ema.update(network, batch=64, images_seen=64)  # the ramp allows 3.2 images of memory
    assert ema.average.weight.item() == pytest.approx(5.0, abs=1e-4)
    assert not ema.average.weight.requires_grad
