import numpy as np
import pytest
import torch

from synthgen.metrics import (
    inception_score,
    inception_score_estimate,
    vendi_estimate,
    vendi_score,
)


def features(count, seed, size=16):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed)).relu()


@pytest.mark.parametrize(("count", "size"), [(60, 16), (12, 40)])
def test_vendi_equals_its_definition(count, size):
    rows = features(count, 1, size).double()
    rows = rows / rows.norm(dim=1, keepdim=True)
    values = np.linalg.eigvalsh((rows @ rows.T / count).numpy())
    values = values[values > 1e-12]
    expected = np.exp(-(values * np.log(values)).sum())
    assert vendi_score(fake=7 * rows) == pytest.approx(expected, rel=1e-9)
    assert vendi_estimate(fake=rows).value == pytest.approx(expected, rel=1e-9)


def test_vendi_counts_different_images():
    assert vendi_score(fake=torch.eye(7)) == pytest.approx(7)
    assert vendi_score(fake=torch.eye(7).repeat(5, 1)) == pytest.approx(7)
    assert vendi_score(fake=torch.ones(30, 4)) == pytest.approx(1)
    assert vendi_score(fake=torch.zeros(30, 4)) == pytest.approx(1)


@pytest.mark.parametrize(("count", "size"), [(41, 8), (20, 60)])
def test_vendi_interval_equals_leaving_groups_out_by_hand(count, size):
    from synthgen.metrics.arrays import spread_groups
    from synthgen.stats import jackknife_variance, t_interval

    values = features(count, 2, size)
    groups = spread_groups(count, 5)
    left = [vendi_score(fake=values[groups != group]) for group in range(5)]
    expected = t_interval(vendi_score(fake=values), [jackknife_variance(left)])
    assert vendi_estimate(fake=values, groups=5) == pytest.approx(expected, rel=1e-7)


def test_inception_score_of_known_predictions():
    certain = 1000 * torch.eye(5).repeat(8, 1)
    assert inception_score(fake_logits=certain) == pytest.approx(5)
    assert inception_score(fake_logits=torch.zeros(20, 5)) == pytest.approx(1)
    assert inception_score(fake_logits=certain[:1].repeat(9, 1)) == pytest.approx(1)


def test_inception_score_agrees_with_torch_fidelity():
    metric_isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = 3 * torch.randn(200, 12, generator=torch.Generator().manual_seed(0))
    theirs = metric_isc.isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    found = inception_score_estimate(fake_logits=logits)
    assert found.value == pytest.approx(theirs, rel=1e-6)
    assert found.low < found.value < found.high
