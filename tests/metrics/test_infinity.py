import numpy as np
import pytest
import torch

from synthgen.metrics import (
    frechet_distance,
    frechet_infinity,
    frechet_infinity_estimate,
)
from synthgen.metrics.frechet import effective_dimension, intercept


def draw(count, seed, scale=1.0, size=48):
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.arange(1, size + 1).double() ** -0.5
    return scale * spectrum * torch.randn(count, size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_removes_the_bias_that_the_distance_has_at_this_n(scale):
    """Two Gaussians whose distance is known: Σ (scale - 1)² λ."""
    truth = (scale - 1) ** 2 * float((1 / torch.arange(1, 49)).sum())
    pairs = [(draw(300, s), draw(300, s + 100, scale)) for s in range(12)]
    plain = np.array([frechet_distance(real=a, fake=b) for a, b in pairs])
    infinite = np.array([frechet_infinity(real=a, fake=b) for a, b in pairs])
    error = infinite.std(ddof=1) / len(pairs) ** 0.5
    assert abs(infinite.mean() - truth) < 3 * error + 0.02
    assert plain.mean() - truth > 10 * abs(infinite.mean() - truth)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    truth = 0.25 * float((1 / torch.arange(1, 49)).sum())
    inside = 0
    for seed in range(40):
        found = frechet_infinity_estimate(real=draw(300, seed), fake=draw(300, seed + 100, 1.5))
        inside += found.low <= truth <= found.high
    assert inside >= 34  # 38 expected


def test_too_few_images_for_the_spectrum_are_said():
    flat = torch.randn(100, 48, generator=torch.Generator().manual_seed(0))
    assert frechet_infinity_estimate(real=flat, fake=flat).value is None
    line = torch.randn(100, 1, generator=torch.Generator().manual_seed(0)) * torch.ones(48)
    assert frechet_infinity_estimate(real=line, fake=line).value == pytest.approx(0, abs=1e-6)


def test_effective_dimension_of_known_spectra():
    white = torch.linalg.qr(torch.randn(400, 8, dtype=torch.float64))[0]
    white = torch.cat([white, -white])  # mean 0
    assert effective_dimension(white) == pytest.approx(8)
    assert effective_dimension(white * torch.tensor([1.0] + 7 * [0.0])) == pytest.approx(1)
    assert effective_dimension(torch.ones(5, 3).double()) == 1


def test_intercept_of_a_line():
    assert intercept([3.0, 5.0, 7.0]) == pytest.approx(1.0)
