import numpy as np
import pytest
import torch
from torch import nn

from synthgen.metrics import frechet_distance, frechet_estimate, frechet_from_moments
from synthgen.metrics.frechet import fit, leave_one_group_out
from synthgen.metrics.streaming import FrechetSums


class Identity(nn.Module):
    """What torchmetrics asks of an extractor, for features that are already there."""

    def __init__(self, num_features):
        super().__init__()
        self.num_features = num_features

    def forward(self, features):
        return features


def features(count, size, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=torch.Generator().manual_seed(99))
    return (torch.randn(count, size, generator=generator) @ mixing + shift).relu()


@pytest.mark.parametrize(("n_real", "n_fake"), [(400, 300), (40, 300), (300, 40), (30, 20)])
def test_agrees_with_torch_fidelity(n_real, n_fake):
    metric_fid = pytest.importorskip("torch_fidelity.metric_fid")
    real, fake = features(n_real, 64, 1), features(n_fake, 64, 2, shift=0.3)
    statistics = [metric_fid.fid_features_to_statistics(x.double()) for x in (real, fake)]
    theirs = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    ours = frechet_distance(real=real, fake=fake)
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)


def test_agrees_with_torchmetrics():
    from torchmetrics.image.fid import FrechetInceptionDistance

    real, fake = features(400, 32, 1).double(), features(300, 32, 2, shift=0.3).double()
    metric = FrechetInceptionDistance(feature=Identity(32)).set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    assert frechet_distance(real=real, fake=fake) == pytest.approx(
        float(metric.compute()), rel=1e-6
    )


def test_two_gaussians_have_the_closed_form():
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(500, 8, generator=generator, dtype=torch.float64)
    white -= white.mean(0)
    white = white @ torch.linalg.inv(torch.linalg.cholesky(white.T @ white / 499)).T
    scales, shift = torch.arange(1.0, 9.0).double(), 0.5
    expected = 8 * shift**2 + ((scales - 1) ** 2).sum()
    found = frechet_distance(real=white, fake=white * scales + shift)
    assert found == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("count", [5, 60, 500])
def test_identical_sets_have_distance_zero(count):
    real = 1000 + features(count, 50, 3)
    spread = float(real.double().var(0).sum())
    assert frechet_distance(real=real, fake=real.flip(0)) < 1e-8 * spread
    assert frechet_distance(real=real.numpy(), fake=real.numpy()) < 1e-8 * spread


def test_constant_features_are_finite():
    real = torch.ones(20, 6)
    assert frechet_distance(real=real, fake=real) == 0
    assert frechet_distance(real=real, fake=real + 2) == pytest.approx(24)


def test_leaving_a_group_out_by_subtraction_equals_fitting_the_rest():
    from synthgen.metrics.arrays import spread_groups
    from synthgen.metrics.frechet import distance

    values = 1000 + features(203, 7, 4).double()
    group_of = spread_groups(len(values), 5)
    for group, left in enumerate(leave_one_group_out(values, group_of)):
        rest = fit(values[group_of != group])
        assert distance(left, rest) < 1e-7
        assert torch.allclose(left.covariance, rest.covariance, rtol=1e-6)


def test_interval_has_the_width_of_repeated_draws():
    draws = [
        frechet_estimate(real=features(400, 8, seed), fake=features(400, 8, seed + 100, shift=1.0))
        for seed in range(30)
    ]
    scatter = np.std([draw.value for draw in draws], ddof=1)
    half = np.mean([(draw.high - draw.low) / 2 for draw in draws])
    assert 1.3 * scatter < half < 4 * scatter  # 2.1 would be exact


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="at least 2 images"):
        frechet_distance(real=torch.ones(1, 3), fake=torch.ones(5, 3))


def moments(values):
    values = values.double()
    return values.mean(0), values.T.cov()


@pytest.mark.parametrize(("count", "size"), [(700, 48), (700, 600), (30, 48)])
def test_moments_give_the_same_as_features(count, size):
    """Regular through Cholesky, blocks of columns, and singular through eigenvectors."""
    real, fake = features(count, size, 1), features(count, size, 2, shift=0.3)
    (mean, covariance), (fake_mean, fake_covariance) = moments(real), moments(fake)
    found = frechet_from_moments(
        real_mean=mean.numpy(),
        real_covariance=covariance.numpy(),
        fake_mean=fake_mean,
        fake_covariance=fake_covariance,
    )
    assert found == pytest.approx(frechet_distance(real=real, fake=fake), rel=1e-7)


def test_a_nearly_singular_covariance_takes_the_exact_route():
    """Dead features and copies of features: where squared eigenvalues would lose half the digits,
    the value equals the one of the same features without them."""
    real, fake = features(400, 24, 1).double(), features(300, 24, 2, shift=0.3).double()
    dead = [torch.cat([x, x[:, :4] + 1e-9 * x[:, 4:8], 0 * x], dim=1) for x in (real, fake)]
    doubled = [torch.cat([x[:, :4] * 2**0.5, x[:, 4:]], dim=1) for x in (real, fake)]
    found = frechet_distance(real=dead[0], fake=dead[1])
    assert found == pytest.approx(frechet_distance(real=doubled[0], fake=doubled[1]), rel=1e-6)


def test_one_thin_and_one_full_set_agree_with_the_definition():
    scipy = pytest.importorskip("scipy.linalg")
    real, fake = features(40, 64, 1), features(500, 64, 2)
    (mean, covariance), (fake_mean, fake_covariance) = moments(real), moments(fake)
    root = scipy.sqrtm((covariance @ fake_covariance).numpy()).real.trace()
    expected = (mean - fake_mean).square().sum() + covariance.trace() + fake_covariance.trace()
    assert frechet_distance(real=real, fake=fake) == pytest.approx(
        float(expected - 2 * root), rel=1e-5
    )


def test_moments_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="mean of 3 features"):
        frechet_from_moments(
            real_mean=torch.zeros(3),
            real_covariance=torch.eye(4),
            fake_mean=torch.zeros(4),
            fake_covariance=torch.eye(4),
        )


def test_module_in_batches_equals_the_function():
    real, fake = 100 + features(90, 12, 5), 100 + features(80, 12, 6)
    whole, first, second = (FrechetSums(12, centre=real[0]) for _ in range(3))
    for metric, part in ((first, slice(0, 33)), (second, slice(33, None))):
        metric.update(real=real[part])
        metric.update(fake=fake[part])
    whole.update(real=real, fake=fake)
    for state in whole.metric_state:  # what adding up over processes does
        setattr(first, state, getattr(first, state) + getattr(second, state))
    expected = frechet_distance(real=real, fake=fake)
    assert float(whole.compute()) == pytest.approx(expected, rel=1e-9)
    first._computed = None
    assert float(first.compute()) == pytest.approx(expected, rel=1e-9)
