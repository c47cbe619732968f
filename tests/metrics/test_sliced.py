import numpy as np
import pytest
import torch

from synthgen.metrics import mind, mind_estimate, sliced_wasserstein
from synthgen.metrics.kernel import transport, unit_vectors


def features(count, seed, shift=0.0, size=16):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator) + shift


def test_equals_its_definition():
    real, fake = features(80, 1).double(), features(80, 2, 0.3).double()
    directions = unit_vectors(50, 16)
    lines = [(x @ directions.T).sort(0).values for x in (real, fake)]
    expected = float((lines[0] - lines[1]).square().mean())
    found = sliced_wasserstein(real=real, fake=fake, directions=50)
    assert found == pytest.approx(expected, rel=1e-9)
    assert mind(real=real, fake=fake, directions=50) == pytest.approx(48 * expected, rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(5, 7), (12, 4), (1, 9), (30, 30)])
def test_unequal_numbers_have_the_exact_transport(n, m):
    """By repeating every value until both sets are equally large."""
    first = torch.randn(3, n, dtype=torch.float64).sort(1).values
    second = torch.randn(3, m, dtype=torch.float64).sort(1).values
    repeated = first.repeat_interleave(m, 1), second.repeat_interleave(n, 1)
    expected = (repeated[0] - repeated[1]).square().mean(1)
    assert torch.allclose(transport(first, second), expected)


def test_a_shift_has_the_closed_form():
    """Every direction u sees (u·δ)², whose mean over directions is |δ|² / D."""
    real = features(200, 3)
    shift = torch.linspace(-1, 1, 16)
    found = mind(real=real, fake=real + shift, directions=4000)
    assert found == pytest.approx(3 * float(shift.square().sum()), rel=0.05)
    assert mind(real=real, fake=real.flip(0)) == pytest.approx(0, abs=1e-9)


def test_sees_what_two_moments_do_not():
    """Same mean and covariance, other shape: two points against a Gaussian."""
    from synthgen.metrics import frechet_infinity

    real = features(2000, 4, size=2)
    corners = features(2000, 5, size=2).sign()
    assert abs(frechet_infinity(real=real, fake=corners)) < 0.02
    assert mind(real=real, fake=corners) > 20 * mind(real=real, fake=features(2000, 6, size=2))


def test_interval_has_the_width_of_repeated_draws():
    draws = [
        mind_estimate(real=features(200, s), fake=features(150, s + 50, 0.4), directions=100)
        for s in range(25)
    ]
    scatter = np.std([draw.value for draw in draws], ddof=1)
    half = np.mean([(draw.high - draw.low) / 2 for draw in draws])
    assert 1.4 * scatter < half < 4 * scatter  # 2.3 would be exact
