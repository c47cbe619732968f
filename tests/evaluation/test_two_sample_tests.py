import numpy as np
import pytest
import torch
from scipy import stats

from synthgen.evaluation import statistical_tests as comparing
from synthgen.evaluation import two_sample as module
from synthgen.evaluation.image_statistics import image_statistics
from synthgen.evaluation.schema import Statistics
from synthgen.evaluation.statistical_tests import compare_statistics
from synthgen.evaluation.two_sample import (
    classifier_two_sample,
    compare_each,
    compare_labels,
    real_components,
)
from synthgen.stats import benjamini_hochberg, holm
from synthgen.types import LabelledImages

CLASSES = ("cat", "dog", "emu")


@pytest.fixture(scope="module")
def everything(digits):
    """All real digits."""
    parts = (digits.train, digits.holdout, digits.test)
    return LabelledImages(
        torch.cat([part.images for part in parts]),
        torch.cat([part.labels for part in parts]),
        digits.train.classes,
    )


def halves(images, seed):
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images.subset(order[: len(order) // 2]), images.subset(order[len(order) // 2 :])


def labelled(counts):
    labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
    return LabelledImages(torch.zeros(len(labels), 1, 4, 4, dtype=torch.uint8), labels, CLASSES)


def test_corrections_equal_their_definitions():
    p = [0.04, 0.001, 0.03, 0.5, 0.005]
    assert holm(p) == pytest.approx([0.09, 0.005, 0.09, 0.5, 0.02])
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == benjamini_hochberg([]) == []


def test_distances_of_a_known_shift():
    random = np.random.default_rng(0)
    values = random.normal(size=20_000)
    (shift,) = compare_each([("x", values, random.normal(1.0, 1.0, 20_000))])
    assert shift.wasserstein == pytest.approx(1, abs=0.03)
    assert shift.effect == pytest.approx(1, abs=0.03)
    assert shift.ks == pytest.approx(2 * stats.norm.cdf(0.5) - 1, abs=0.02)
    assert shift.size == "large"
    assert shift.p_adjusted < 1e-10
    (same,) = compare_each([("x", values, values)])
    assert (same.ks, same.wasserstein, same.effect, same.size) == (0, 0, 0, "negligible")


def test_a_change_of_spread_is_no_negligible_difference():
    random = np.random.default_rng(0)
    (shift,) = compare_each([("x", random.normal(0, 1, 5000), random.normal(0, 3, 5000))])
    assert abs(shift.effect) < 0.1
    assert shift.size in ("medium", "large")


def test_constants_have_no_effect_size_but_a_size():
    (shift,) = compare_each([("x", np.zeros(50), np.ones(50))])
    assert shift.effect is None
    assert shift.size == "large"


def test_errors_of_the_first_kind_are_as_frequent_as_announced(everything):
    """300 halvings of the same real digits: five in a hundred tests reject, and five families."""
    table = {name: values.numpy() for name, values in image_statistics(everything.images).items()}
    rejected, families = np.zeros(len(table)), 0
    for seed in range(300):
        order = np.random.default_rng(seed).permutation(len(everything))
        ours, theirs = order[:300], order[300:600]
        shifts = compare_each([(name, v[ours], v[theirs]) for name, v in table.items()])
        rejected += [shift.p < 0.05 for shift in shifts]
        families += any(shift.p_adjusted < 0.05 for shift in shifts)
    assert (rejected / 300 < 0.09).all(), rejected
    assert 0.02 < rejected.mean() / 300 < 0.07
    assert families / 300 < 0.08


def test_components_are_not_tested_on_the_rows_that_made_them():
    """With more features than rows, fitted rows spread far more than others along a component."""
    generator = torch.Generator().manual_seed(0)
    smallest = []
    for _ in range(40):
        rows = torch.randn(160, 200, generator=generator)
        scores = real_components(rows[:80], rows[80:], 5)
        shifts = compare_each(
            [(str(n), scores.real[:, n], scores.fake[:, n]) for n in range(len(scores.shares))]
        )
        smallest.append(min(shift.p_adjusted for shift in shifts))
    assert np.mean(np.array(smallest) < 0.05) <= 0.125


def test_components_find_the_direction_of_most_variance():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(400, 6, generator=generator)
    rows[:, 2] *= 10
    scores = real_components(rows, rows + 1, 3)
    assert scores.shares[0] > 0.9
    assert np.corrcoef(scores.real[:, 0], rows[1::2, 2])[0, 1] > 0.99
    assert np.allclose(scores.fake[1::2, 0] - scores.real[:, 0], 1, atol=0.2)


def test_labels_in_equal_and_in_other_proportions():
    same = compare_labels(labelled([50, 30, 20]), labelled([100, 60, 40]))
    assert same.total_variation == pytest.approx(0)
    assert same.p == pytest.approx(1)
    other = compare_labels(labelled([50, 30, 20]), labelled([20, 30, 50]))
    expected = stats.chi2_contingency([[50, 30, 20], [20, 30, 50]])
    assert (other.chi2, other.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert other.total_variation == pytest.approx(0.3)
    assert compare_labels(labelled([5, 5, 5]), labelled([5, 5, 0])).missing == ["emu"]
    alone = compare_labels(labelled([5, 0, 0]), labelled([9, 0, 0]))
    assert alone.p is alone.degrees is None


def test_the_classifier_rejects_as_often_as_announced(everything, monkeypatch):
    monkeypatch.setattr(module, "PERMUTATIONS", 39)
    rows = everything.images.flatten(1).float()
    rejected = 0
    for seed in range(200):
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        found = classifier_two_sample(rows[order[:40]], rows[order[40:80]], space="e", seed=seed)
        rejected += found.p <= 0.05
    assert 0.015 <= rejected / 200 <= 0.095


@pytest.mark.parametrize("seed", [0, 1])
def test_the_classifier_finds_a_shift_and_a_change_of_spread_alone(seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(300, 8, generator=generator)
    for changed in (torch.randn(300, 8, generator=generator) + 0.5,
                    torch.randn(300, 8, generator=generator) * 1.5):  # fmt: skip
        found = classifier_two_sample(rows, changed, space="e", seed=seed)
        assert found.p == pytest.approx(1 / (1 + module.PERMUTATIONS))
        assert found.ci_low > 0.55
        assert found.ci_low < found.accuracy < found.ci_high
    assert classifier_two_sample(rows, rows.flip(0)[:9], space="e", seed=0).accuracy is None


def test_the_report_of_real_against_real_finds_nothing(everything):
    ours, theirs = halves(everything, 0)
    features = {"pixels": (ours.images.flatten(1).float(), theirs.images.flatten(1).float())}
    found = compare_statistics(ours, theirs, features=features, seed=0)
    rows = [*found.image, *found.features["pixels"]]
    assert len(rows) == 16
    assert all(row.p_adjusted > 0.05 for row in rows)
    assert found.two_sample.p > 0.05
    assert found.two_sample.space == "pixels"
    assert "None of the 6" in found.sentence[0]
    assert "can't tell" in found.sentence[-1]
    assert found.n_real == len(ours)
    assert Statistics.from_json(found.to_json()) == found


def test_the_report_finds_what_was_changed(everything):
    ours, theirs = halves(everything, 1)
    brighter = LabelledImages(
        (theirs.images.float() * 0.8 + 40).to(torch.uint8), theirs.labels, theirs.classes
    )
    found = compare_statistics(ours, brighter, seed=0)
    rows = {row.statistic: row for row in found.image}
    assert rows["brightness"].effect > 0.8
    assert rows["brightness"].p_adjusted < 0.001
    assert rows["contrast"].effect < -0.8
    assert "brightness is" in found.sentence[0]
    assert "SD higher" in found.sentence[0]
    assert found.two_sample.ci_low > 0.9
    assert " tells real from synthetic" in found.sentence[-1]
    assert found == compare_statistics(ours, brighter, seed=0)


def test_another_mix_of_classes_is_said(everything):
    keep = (everything.labels < 5) | (torch.arange(len(everything)) % 3 == 0)
    found = compare_statistics(everything, everything.subset(keep), seed=0)
    assert any("mixed differently" in said for said in found.sentence)
    least = min(everything.counts)
    even = torch.cat([(everything.labels == k).nonzero()[: min(20, least), 0] for k in range(10)])
    said = compare_statistics(everything.subset(keep), everything.subset(even), seed=0).sentence
    assert not any("mixed differently" in one for one in said)
    assert any("is balanced and the real images are not" in one for one in said)


def test_too_few_images_is_an_answer(everything):
    found = compare_statistics(everything, everything.subset([0, 1, 2]), seed=0)
    assert found.image == []
    assert found.two_sample is None
    assert found.sentence == ["Too few images for statistical tests: 1797 real, 3 synthetic."]
    assert Statistics.from_json(found.to_json()) == found


def test_large_sets_and_large_images_are_cut_in_proportion(everything, monkeypatch):
    monkeypatch.setattr(comparing, "MOST_PIXELS", 64 * 200)
    found = compare_statistics(everything, everything.subset(everything.labels < 5), seed=0)
    assert (found.n_real, found.n_fake, found.at_most) == (200, 200, 200)
    assert found.labels.n_real == len(everything)
