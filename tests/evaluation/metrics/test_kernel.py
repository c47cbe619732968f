import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from synthgen.evaluation.metrics import cmmd, kernel_estimates, kid, kid_estimate, mmd
from synthgen.evaluation.metrics.arrays import spread_groups

PARTS = slice(18), slice(18, 54)  # of the images of a class


def features(count, seed, shift=0.0, size=16):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, size, generator=generator) + shift).relu()


def test_agrees_with_torch_fidelity_at_full_subset_size():
    metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
    real, fake = features(300, 1), features(300, 2, shift=0.2)
    theirs = metric_kid.kid_features_to_metric(
        fake.double(), real.double(), kid_subsets=1, kid_subset_size=300, verbose=False
    )
    found = kid(real=real, fake=fake)
    assert found == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)


def test_agrees_with_torchmetrics():
    from torchmetrics.image.kid import poly_mmd

    real, fake = features(200, 1).double(), features(200, 2, shift=0.2).double()
    expected = float(poly_mmd(real, fake))
    assert kid(real=real, fake=fake) == pytest.approx(expected, rel=1e-9)
    assert kid_estimate(real=real, fake=fake).value == pytest.approx(expected, rel=1e-9)


def test_is_unbiased_for_unequal_and_small_sets():
    values = [kid(real=features(30, s), fake=features(12, s + 1000)) for s in range(300)]
    error = np.std(values) / len(values) ** 0.5
    assert abs(np.mean(values)) < 3 * error


def test_identical_sets_have_the_known_value():
    real = features(50, 3).double()
    kernel = (real @ real.T / 16 + 1) ** 3
    own = kernel.diagonal().sum()
    expected = 2 * (kernel.sum() - own) / (50 * 49) - 2 * kernel.sum() / 50**2
    assert kid(real=real, fake=real) == pytest.approx(float(expected), rel=1e-9)


def test_jackknife_interval_equals_leaving_groups_out_by_hand():
    from synthgen.evaluation.metrics.intervals import jackknife_variance, t_interval

    real, fake = features(41, 1).double(), features(53, 2, shift=0.2).double()
    parts = []
    for name, values in (("real", real), ("fake", fake)):
        groups = spread_groups(len(values), 4)
        left_out = [
            kid(**{"real": real, "fake": fake, name: values[groups != group]}) for group in range(4)
        ]
        parts.append(jackknife_variance(left_out))
    expected = t_interval(kid(real=real, fake=fake), parts)
    assert kid_estimate(real=real, fake=fake, groups=4) == pytest.approx(expected, rel=1e-8)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    truth = kid(real=features(3000, 1), fake=features(3000, 2, shift=0.3))
    inside = 0
    for seed in range(60):
        found = kid_estimate(
            real=features(150, 10 + seed), fake=features(150, 90 + seed, shift=0.3)
        )
        inside += found.low <= truth <= found.high
    assert inside >= 51  # 57 expected


def gaussian_kernel(first, second, bandwidth):
    exact = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
    return (-exact.square() / (2 * bandwidth**2)).exp()


def test_mmd_equals_its_definition():
    real, fake = features(300, 1).double(), features(600, 2, shift=0.2).double()
    within = [gaussian_kernel(x, x, 1.7) for x in (real, fake)]
    own = [(k.sum() - len(k)) / (len(k) * (len(k) - 1)) for k in within]
    expected = own[0] + own[1] - 2 * gaussian_kernel(real, fake, 1.7).mean()
    found = mmd(real=real, fake=fake, bandwidth=1.7)
    assert found == pytest.approx(float(expected), rel=1e-9)


def test_cmmd_is_the_published_convention():
    real, fake = features(60, 1).double(), features(40, 2, shift=0.2).double()
    real, fake = (x / x.norm(dim=1, keepdim=True) for x in (real, fake))
    parts = [gaussian_kernel(a, b, 10).mean() for a, b in ((real, real), (fake, fake))]
    expected = 1000 * (sum(parts) - 2 * gaussian_kernel(real, fake, 10).mean())
    assert cmmd(real=3 * real, fake=5 * fake) == pytest.approx(float(expected), rel=1e-6)


def test_the_median_bandwidth_removes_the_scale_of_the_features():
    real, fake = features(100, 1), features(100, 2, shift=0.5)
    found = kernel_estimates(real=real, fake=fake)
    larger = kernel_estimates(real=100 * real, fake=100 * fake)
    assert found.mmd == pytest.approx(larger.mmd, rel=1e-6)
    assert larger.bandwidth == pytest.approx(100 * found.bandwidth, rel=1e-6)
    assert found.bandwidth == pytest.approx(float(torch.pdist(real.double()).median()))
    assert found.kid == pytest.approx(kid_estimate(real=real, fake=fake), rel=1e-9)
    assert found.mmd.low > 0


def test_mmd_is_unbiased_and_its_interval_holds():
    found = [
        kernel_estimates(real=features(40, s), fake=features(25, s + 1000)).mmd for s in range(200)
    ]
    values = [estimate.value for estimate in found]
    assert abs(np.mean(values)) < 3 * np.std(values) / len(values) ** 0.5
    assert sum(estimate.low > 0 for estimate in found) <= 12  # 5 expected


def test_identical_images_have_a_bandwidth():
    assert mmd(real=torch.ones(20, 3), fake=torch.ones(20, 3)) == pytest.approx(0, abs=1e-12)


def test_with_fixed_counts_of_each_class_real_against_real_lies_below_0():
    """What the report says beside its intervals."""
    images, labels = load_digits(return_X_y=True)
    points = torch.from_numpy(images / images.std()).float()
    members = [np.flatnonzero(labels == k) for k in range(10)]
    random = np.random.default_rng(0)
    fixed, free = [], []
    for _ in range(20):
        own = [random.permutation(one) for one in members]
        few, more = (np.concatenate([one[part] for one in own]) for part in PARTS)
        fixed.append(kid(real=points[few], fake=points[more]))
        order = random.permutation(len(labels))
        free.append(kid(real=points[order[:180]], fake=points[order[180:540]]))
    error = np.std(fixed) / np.sqrt(20)
    assert np.mean(fixed) < -4 * error
    assert abs(np.mean(free)) < 4 * np.std(free) / np.sqrt(20)
