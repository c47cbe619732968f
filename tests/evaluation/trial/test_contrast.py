import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, nct, t

from synthgen.evaluation.classifiers.scores import SCORES, confusion
from synthgen.evaluation.trial.contrast import from_parts, mcnemar, paired_contrast
from synthgen.evaluation.trial.endpoints import mean_recall_of

accuracy, macro_f1 = SCORES["accuracy"], SCORES["macro_f1"]


def answers(labels, share_wrong, seed, classes=3):
    generator = torch.Generator().manual_seed(seed)
    wrong = torch.rand(len(labels), generator=generator) < share_wrong
    return torch.where(wrong, (labels + 1) % classes, labels)


@pytest.fixture
def tables():
    labels = torch.arange(90) % 3
    ours = [answers(labels, 0.1, seed) for seed in range(4)]
    theirs = [answers(labels, 0.3, 50 + seed) for seed in range(4)]
    return labels, ours, theirs


def test_accuracy_follows_the_textbook_formula(tables):
    labels, ours, theirs = tables
    gains = torch.stack(
        [(a == labels).double() - (b == labels).double() for a, b in zip(ours, theirs, strict=True)]
    )
    by_image, by_seed = gains.mean(0), gains.mean(1)
    images, seeds = float(by_image.var()) / 90, float(by_seed.var()) / 4
    degrees = (images + seeds) ** 2 / (images**2 / 89 + seeds**2 / 3)
    error = math.sqrt(images + seeds)
    found = paired_contrast(accuracy, labels, ours, theirs, 3)
    assert found.difference == pytest.approx(float(gains.mean()))
    assert found.per_seed == pytest.approx(by_seed.tolist())
    assert found.standard_error == pytest.approx(error)
    assert found.degrees == pytest.approx(degrees)
    half = t.ppf(0.975, degrees) * error
    assert found.ci_low == pytest.approx(found.difference - half)
    assert found.ci_high == pytest.approx(found.difference + half)
    assert found.p == pytest.approx(2 * t.sf(found.difference / error, degrees))


def test_macro_f1_jackknife_is_the_one_that_leaves_each_image_out(tables):
    labels, ours, theirs = tables
    kept = [torch.arange(90) != i for i in range(90)]

    def mean_score(predictions, mask):
        return np.mean([float(macro_f1(confusion(labels[mask], p[mask], 3))) for p in predictions])

    left_out = np.array([mean_score(ours, mask) - mean_score(theirs, mask) for mask in kept])
    images = 89 / 90 * ((left_out - left_out.mean()) ** 2).sum()
    found = paired_contrast(macro_f1, labels, ours, theirs, 3)
    seeds = np.var(found.per_seed, ddof=1) / 4
    assert found.standard_error == pytest.approx(math.sqrt(images + seeds))


def test_swapping_the_arms_mirrors_everything(tables):
    labels, ours, theirs = tables
    one = paired_contrast(macro_f1, labels, ours, theirs, 3)
    other = paired_contrast(macro_f1, labels, theirs, ours, 3)
    assert (one.verdict, other.verdict) == ("helped", "harmed")
    assert other.difference == pytest.approx(-one.difference)
    assert (other.ci_low, other.ci_high) == pytest.approx((-one.ci_high, -one.ci_low))
    assert other.p == pytest.approx(one.p)


@pytest.mark.parametrize("groups", [torch.arange(90), torch.arange(90).flip(0) * 3 + 5])
def test_groups_of_one_image_are_images(tables, groups):
    labels, ours, theirs = tables
    one = paired_contrast(macro_f1, labels, ours, theirs, 3)
    other = paired_contrast(macro_f1, labels, ours, theirs, 3, groups=groups)
    assert other.standard_error == pytest.approx(one.standard_error)
    assert other.degrees == pytest.approx(one.degrees)


def test_equal_groups_vary_as_their_means_do():
    labels = torch.zeros(400, dtype=torch.int64)
    groups = torch.arange(400) % 20
    ours = [torch.where(groups % 3 == 0, 1, 0)] * 3  # a group is right or wrong altogether
    theirs = [torch.where(groups % 5 == 0, 1, 0)] * 3
    means = torch.tensor(
        [float(g % 5 == 0) - float(g % 3 == 0) for g in range(20)], dtype=torch.float64
    )
    found = paired_contrast(accuracy, labels, ours, theirs, 2, groups=groups)
    assert found.standard_error == pytest.approx(math.sqrt(float(means.var()) / 20))
    assert found.degrees == pytest.approx(19)
    alone = paired_contrast(accuracy, labels, ours, theirs, 2)
    assert alone.standard_error < 0.3 * found.standard_error


def test_few_groups_that_differ_a_little_are_not_drowned_by_the_least_variance():
    """12 groups: 1.5 / 12 would be a standard error of 12.5 points, whatever was seen."""
    labels = torch.zeros(1200, dtype=torch.int64)
    groups = torch.arange(1200) % 12
    place = torch.arange(1200) // 12
    ours = [torch.zeros(1200, dtype=torch.int64)] * 3
    theirs = [(place < 8 + groups % 3).long()] * 3  # 8 to 10 of a group's 100 images wrong
    found = paired_contrast(accuracy, labels, ours, theirs, 2, groups=groups)
    assert found.difference == pytest.approx(0.09)
    assert found.standard_error < 0.005
    assert found.verdict == "helped"


@pytest.mark.parametrize(
    ("groups", "reach"),
    [(None, 1.5 / 90), (torch.arange(90) % 9, 1.5 / 9)],
    ids=["images", "groups"],
)
def test_equal_predictions_are_no_evidence_with_an_interval(groups, reach):
    labels = torch.arange(90) % 3
    found = paired_contrast(accuracy, labels, [labels] * 3, [labels] * 3, 3, groups=groups)
    assert (found.difference, found.p, found.verdict) == (0, 1, "no evidence")
    assert found.standard_error == pytest.approx(reach)


def test_one_group_can_never_be_evidence():
    labels = torch.arange(90) % 3
    wrong = [(labels + 1) % 3] * 3
    groups = torch.zeros(90, dtype=torch.int64)
    found = paired_contrast(accuracy, labels, [labels] * 3, wrong, 3, groups=groups)
    assert found.verdict == "no evidence"
    assert math.isfinite(found.ci_high)


def test_everything_better_on_every_image_is_help():
    labels = torch.arange(30) % 3
    found = paired_contrast(accuracy, labels, [labels] * 2, [(labels + 1) % 3] * 2, 3)
    assert (found.difference, found.verdict) == (1, "helped")


def test_a_class_without_test_images_adds_nothing():
    labels = torch.arange(600) % 2
    ours = [answers(labels, 0.1, seed, classes=2) for seed in range(3)]
    theirs = [answers(labels, 0.3, 9 + seed, classes=2) for seed in range(3)]
    two = paired_contrast(macro_f1, labels, ours, theirs, 2)
    three = paired_contrast(macro_f1, labels, ours, theirs, 3)  # a mean over one class more
    assert three.difference == pytest.approx(two.difference * 2 / 3)
    assert three.p == pytest.approx(two.p, rel=1e-6)


def test_a_rare_endpoint_knows_on_how_few_images_it_rests():
    labels = torch.cat([torch.zeros(95), torch.ones(5)]).long()
    score = mean_recall_of([1])
    found = paired_contrast(score, labels, [labels] * 3, [labels] * 3, 2, among=labels == 1)
    assert found.standard_error == pytest.approx(1.5 / 5)
    assert found.degrees == pytest.approx(4)


def test_seeds_must_match(tables):
    labels, ours, theirs = tables
    for other in (theirs[:3], theirs[:1]):
        with pytest.raises(ValueError, match="same two or more seeds"):
            paired_contrast(accuracy, labels, ours[:1] if len(other) == 1 else ours, other, 3)


@pytest.mark.parametrize("parts", [[(4e-4, 4.0)], [(1e-4, 4.0), (2e-4, 359.0)], [(1e-6, 1.0)]])
def test_smallest_detectable_is_found_in_four_of_five(parts):
    found = from_parts(torch.tensor([0.01, 0.02]).double(), parts)
    critical = t.ppf(0.975, found.degrees)
    power = nct.sf(critical, found.degrees, found.smallest_detectable / found.standard_error)
    assert power == pytest.approx(0.8, abs=1e-6)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """2,000 trials without an effect: seeds alone (exact), images beside them (conservative)."""
    rng = np.random.default_rng(0)
    helped = harmed = 0
    for _ in range(2000):
        values = torch.from_numpy(rng.normal(0, 0.01, 5))
        found = from_parts(values, [(float(values.var()) / 5, 4.0)])
        helped += found.verdict == "helped"
        harmed += found.verdict == "harmed"
    assert 30 <= helped <= 72  # 50 expected; 99.8 % of all such counts
    assert 30 <= harmed <= 72


def test_correlated_images_and_seeds_do_not_raise_the_alarm():
    """Both arms equally good, on images of unequal difficulty, with luck per training."""
    generator = torch.Generator().manual_seed(3)
    labels, alarms = torch.arange(200) % 2, 0
    for _ in range(300):
        difficulty = torch.randn(200, generator=generator)
        arms = [
            [
                torch.where(
                    difficulty
                    + 0.4 * torch.randn(200, generator=generator)
                    + 0.15 * torch.randn(1, generator=generator)
                    > 1.2,
                    1 - labels,
                    labels,
                )
                for _ in range(5)
            ]
            for _ in range(2)
        ]
        alarms += paired_contrast(macro_f1, labels, *arms, 2).verdict != "no evidence"
    assert alarms <= 23  # 5 % is 15; 23 has a chance of 2 %


def test_an_interval_ends_where_differences_do():
    few = torch.tensor([0, 1, 0, 1])
    found = paired_contrast(
        accuracy, few, [few] * 2, [1 - few, few], 2
    )  # fmt: skip
    assert (found.difference, found.ci_low, found.ci_high) == (0.5, -1.0, 1.0)
    assert found.smallest_detectable > 1


def test_mcnemar_by_hand():
    labels = torch.zeros(30, dtype=torch.int64)
    ours, theirs = labels.clone(), labels.clone()
    theirs[:8], ours[8:9], ours[20:], theirs[20:] = 1, 1, 1, 1
    found = mcnemar(labels, ours, theirs, 7)
    assert (found.only_this_right, found.only_real_right, found.seed) == (8, 1, 7)
    assert found.p == pytest.approx(2 * 10 / 512)
    assert found.p == pytest.approx(binomtest(8, 9).pvalue)
    assert mcnemar(labels, ours, ours, 7).p == 1.0
