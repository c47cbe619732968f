import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from synthgen.metrics import Strata, cmmd, kernel_estimates, kid, kid_estimate, mmd
from synthgen.metrics.arrays import spread_groups
from synthgen.metrics.kernel import KernelSums, cubic, gaussian, median_distance

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
    from synthgen.stats import jackknife_variance, t_interval

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


def drawn_by_class(random, parts=PARTS):
    """Two disjoint sets of digits with fixed numbers of each class."""
    images, labels = load_digits(return_X_y=True)
    points = torch.from_numpy(images / images.std()).float()
    own = [random.permutation(np.flatnonzero(labels == k)) for k in range(10)]
    rows = [np.concatenate([one[part] for one in own]) for part in parts]
    return [points[some] for some in rows], [Strata(torch.from_numpy(labels[r])) for r in rows]


@pytest.fixture(scope="module")
def real_against_real():
    random = np.random.default_rng(0)
    sets = [drawn_by_class(random) for _ in range(40)]
    return [
        kernel_estimates(real=few, fake=more, strata=tuple(strata)) for (few, more), strata in sets
    ]


def test_with_fixed_counts_of_each_class_only_the_stratified_estimate_is_unbiased(
    real_against_real,
):
    plain = [found.plain_kid for found in real_against_real]
    stratified = [found.kid.value for found in real_against_real]
    assert np.mean(plain) < -4 * np.std(plain) / np.sqrt(len(plain))
    assert abs(np.mean(stratified)) < 3 * np.std(stratified) / np.sqrt(len(stratified))
    assert np.std(stratified) < 0.02  # so that the mean says something


def test_the_intervals_of_sets_drawn_by_class_hold_zero_between_equals(real_against_real):
    inside = [[e.low <= 0 <= e.high for e in (found.kid, found.mmd)] for found in real_against_real]
    assert np.all(np.sum(inside, axis=0) >= 34)  # 38 expected; few by the plain estimate
    values = [found.kid.value for found in real_against_real]
    half = np.mean([(found.kid.high - found.kid.low) / 2 for found in real_against_real])
    assert 1.6 < half / np.std(values) < 2.7  # 3 where pairs count twice


def test_of_sets_drawn_freely_both_estimates_are_about_the_same():
    images, labels = load_digits(return_X_y=True)
    points, labels = torch.from_numpy(images / images.std()).float(), torch.from_numpy(labels)
    shares, random = torch.bincount(labels), np.random.default_rng(0)
    plain, stratified = [], []
    for _ in range(20):
        order = random.permutation(len(labels))
        few, more = order[:180], order[180:720]
        found = kernel_estimates(
            real=points[few],
            fake=points[more],
            strata=(Strata(labels[few], shares), Strata(labels[more], shares)),
        )
        plain.append(found.plain_kid)
        stratified.append(found.kid.value)
        assert plain[-1] == pytest.approx(kid(real=points[few], fake=points[more]), abs=1e-9)
    for values in (plain, stratified):
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(20)
    assert np.std(stratified) < np.std(plain)  # class shares don't scatter


def by_hand(real, fake, real_labels, fake_labels, shares):
    def kernel(first, second):
        return (first @ second.T / first.shape[1] + 1) ** 3

    def within(x, labels):
        total = 0.0
        for k, a in enumerate(shares):
            for m, b in enumerate(shares):
                block = kernel(x[labels == k], x[labels == m])
                n = len(block)
                same = (block.sum() - block.diagonal().sum()) / (n * (n - 1)) if k == m else 0
                total += a * b * (same if k == m else block.mean())
        return total

    cross = sum(
        a * b * kernel(real[real_labels == k], fake[fake_labels == m]).mean()
        for k, a in enumerate(shares)
        for m, b in enumerate(shares)
    )
    return float(within(real, real_labels) + within(fake, fake_labels) - 2 * cross)


def test_the_stratified_estimate_equals_its_definition():
    real, fake = features(300, 1).double(), features(400, 2, shift=0.2).double()
    labels = [torch.arange(300) % 7 % 3, torch.arange(400) % 11 % 3]  # of unequal sizes, unsorted
    shares = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    strata = tuple(Strata(side, shares) for side in labels)
    found = kid_estimate(real=real, fake=fake, strata=strata)
    assert found.value == pytest.approx(by_hand(real, fake, *labels, [0.5, 0.3, 0.2]), rel=1e-9)


def test_classes_of_one_or_two_images_share_a_stratum():
    real, fake = features(60, 1).double(), features(80, 2).double()
    alone = torch.arange(60)
    by_class = torch.arange(80) % 2
    found = kid_estimate(real=real, fake=fake, strata=(Strata(alone), Strata(by_class)))
    freely = (Strata(torch.zeros(60, dtype=torch.int64)), Strata(by_class))
    assert found.value == pytest.approx(kid_estimate(real=real, fake=fake, strata=freely).value)
    few = torch.tensor([0] * 57 + [1, 1, 2])  # two kinds of thin classes, and none alone
    found = kid_estimate(real=real, fake=fake, strata=(Strata(few), Strata(by_class)))
    together = (Strata(few.clamp_max(1)), Strata(by_class))
    assert found.value == pytest.approx(kid_estimate(real=real, fake=fake, strata=together).value)
    assert found.low < found.value < found.high


def atoms(classes, shift=0.0):
    """float64 ``(classes, 400, 16)``: each class draws one of its 400, so the truth is known."""
    random = torch.Generator().manual_seed(1)
    means = torch.randn(classes, 1, 16, generator=random, dtype=torch.float64)
    return means + torch.randn(classes, 400, 16, generator=random, dtype=torch.float64) + shift


def coverage(counts, shift, times, seed=5):
    """Share of 95 % intervals of KID and of MMD that hold the truth, for ``counts`` of each class
    in both sets."""
    random = torch.Generator().manual_seed(seed)
    first, second = atoms(len(counts[0])), atoms(len(counts[0]), shift)
    shares = torch.tensor(counts[0]).double() / sum(counts[0])
    assert torch.allclose(shares, torch.tensor(counts[1]).double() / sum(counts[1]))
    weights = (shares / 400).repeat_interleave(400)
    every = torch.cat([first.flatten(0, 1), second.flatten(0, 1)])
    kernels = [cubic, gaussian(median_distance(every))]
    truth = [squared(every, torch.cat([weights, -weights]), kernel) for kernel in kernels]
    labels = [torch.arange(len(own)).repeat_interleave(torch.tensor(own)) for own in counts]
    strata = (Strata(labels[0], shares), Strata(labels[1], shares))
    held = np.zeros(2)
    for _ in range(times):
        sets = [
            torch.cat([x[k, torch.randint(400, (n,), generator=random)] for k, n in enumerate(own)])
            for x, own in zip((first, second), counts, strict=True)
        ]
        sums = KernelSums(*sets, kernels, groups=10, strata=strata)
        found = [sums.estimate(which) for which in range(2)]
        held += [one.low <= known <= one.high for one, known in zip(found, truth, strict=True)]
    return held / times


def squared(points, weights, kernel):
    """Squared norm of Σ weights · k(points, ·)."""
    norms, total = points.square().sum(1), 0.0
    for rows, own, size in zip(
        points.split(1000), weights.split(1000), norms.split(1000), strict=True
    ):
        total += own @ kernel(rows @ points.T, size[:, None], norms, points.shape[1]) @ weights
    return float(total)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.25, 1.0])
@pytest.mark.parametrize(
    "counts",
    [
        ([10] * 10, [30] * 10),
        ([20] * 10, [20] * 10),
        ([42, 12, 6], [210, 60, 30]),
        ([5] * 30, [20] * 30),
        ([60], [60]),
    ],
    ids=lambda counts: f"{counts[0][:3]}x{len(counts[0])}-{sum(counts[1])}",
)
def test_the_intervals_of_sets_drawn_by_class_hold_as_often_as_they_say(counts, shift):
    found = coverage(counts, shift, times=600)
    assert np.all(np.abs(found - 0.95) <= 0.03)
