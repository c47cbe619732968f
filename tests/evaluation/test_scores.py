import numpy as np
import pytest
import torch

from synthgen.evaluation.classifiers.scores import (
    SCORES,
    accuracy,
    confusion,
    leave_one_out,
    macro_f1,
    recall_of,
    score_estimate,
    variance_parts,
)
from synthgen.stats import t_interval, wilson


def answers(count, classes, seed, right=0.7):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=generator)
    wrong = torch.randint(0, classes, (count,), generator=generator)
    keep = torch.rand(count, generator=generator) < right
    return labels, torch.where(keep, labels, wrong)


def test_scores_equal_scikit_learn_and_torchmetrics():
    from sklearn import metrics
    from torchmetrics.functional.classification import multiclass_f1_score

    labels, predicted = answers(500, 6, 0)
    predicted[predicted == 5] = 0  # a class that is never predicted
    y, p = labels.numpy(), predicted.numpy()
    expected = {
        "accuracy": metrics.accuracy_score(y, p),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, p),
        "macro_precision": metrics.precision_score(y, p, average="macro", zero_division=0),
        "macro_f1": metrics.f1_score(y, p, average="macro", zero_division=0),
    }
    matrix = confusion(labels, predicted, 6)
    assert {name: float(score(matrix)) for name, score in SCORES.items()} == pytest.approx(expected)
    theirs = multiclass_f1_score(predicted, labels, num_classes=6, average="macro")
    assert float(macro_f1(matrix)) == pytest.approx(float(theirs))
    per_class = metrics.recall_score(y, p, average=None, zero_division=0)
    assert [float(recall_of(k)(matrix)) for k in range(6)] == pytest.approx(per_class.tolist())


def test_leaving_out_a_cell_equals_leaving_out_its_image():
    labels, predicted = answers(60, 4, 1)
    table = leave_one_out(macro_f1, confusion(labels, predicted, 4))
    for i in range(60):
        rest = torch.arange(60) != i
        direct = macro_f1(confusion(labels[rest], predicted[rest], 4))
        assert float(table[labels[i], predicted[i]]) == pytest.approx(float(direct))


def test_interval_of_one_accuracy_is_the_binomial_one():
    labels, predicted = answers(1000, 5, 2)
    found = score_estimate(accuracy, labels, [predicted], 5)
    p = found.value
    assert found.high - p == pytest.approx(1.96 * (p * (1 - p) / 1000) ** 0.5, rel=0.01)


def test_scatter_between_seeds_widens_the_interval():
    labels, good = answers(1000, 5, 2, right=0.9)
    _, same = answers(1000, 5, 2, right=0.9)
    poor = torch.where(torch.arange(1000) < 100, (labels + 1) % 5, good)
    alike = score_estimate(accuracy, labels, [good, same, good], 5)
    apart = score_estimate(accuracy, labels, [good, poor, good], 5)
    assert apart.high - apart.low > 2 * (alike.high - alike.low)


def test_coverage_of_the_interval_over_images_and_seeds():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        skill = 0.8 + 0.02 * rng.standard_normal(3)  # each training turns out a little different
        predicted = [torch.from_numpy((rng.random(400) > s).astype("int64")) for s in skill]
        found = score_estimate(accuracy, torch.zeros(400, dtype=torch.int64), predicted, 2)
        inside += found.low <= 0.8 <= found.high
    assert inside >= 184  # 190 expected; conservative by construction


def test_a_perfect_score_still_has_an_interval():
    labels = torch.zeros(100, dtype=torch.int64)
    found = score_estimate(accuracy, labels, [labels, labels], 2)
    assert found.value == found.high == 1
    assert found.low == pytest.approx(0.97, abs=0.001)  # the rule of three
    some = torch.arange(100) < 10
    assert score_estimate(accuracy, labels, [labels], 2, among=some).low < 0.7


def test_wilson_and_satterthwaite_by_known_values():
    assert wilson(8, 10) == pytest.approx((0.8, 0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == 1
    found = t_interval(5.0, [(1.0, 4.0), (1.0, 4.0)])  # 8 degrees of freedom
    assert found.high == pytest.approx(5 + 2.306004 * 2**0.5, abs=1e-5)


def perfect_by_group():
    """63 images of 27 patients; the last class has three images of two patients."""
    labels = torch.tensor([0] * 40 + [1] * 20 + [2] * 3)
    groups = torch.cat(
        [torch.arange(40) % 16, 16 + torch.arange(20) % 9, torch.tensor([25, 26, 26])]
    )
    return labels, groups


def test_a_class_with_few_images_is_no_surer_than_one_with_many():
    labels, groups = perfect_by_group()
    found = [
        score_estimate(recall_of(k), labels, [labels] * 5, 3, among=labels == k, groups=groups)
        for k in range(3)
    ]
    assert [one.value for one in found] == [1, 1, 1]
    assert found[0].low > found[1].low > found[2].low
    assert found[0].low == pytest.approx(1 - 2.131450 * 1.5 / 16)  # its own 16 groups, not all 27
    assert found[2].low == 0  # the exact binomial interval of 3 of 3 begins at 0.29
    never = score_estimate(
        recall_of(2), labels, [torch.zeros_like(labels)] * 5, 3, among=labels == 2, groups=groups
    )
    assert never.value == 0
    assert never.high > 0.71


def test_one_image_that_differs_makes_few_groups_hardly_surer():
    labels, groups = perfect_by_group()
    perfect = score_estimate(accuracy, labels, [labels] * 5, 3, groups=groups)
    wrong = labels.clone()
    wrong[5] = 1
    one = score_estimate(accuracy, labels, [wrong] * 5, 3, groups=groups)
    assert perfect.value - perfect.low == pytest.approx(2.055529 * 1.5 / 27)
    assert one.value - one.low > 0.75 * (perfect.value - perfect.low)
    alone = score_estimate(accuracy, labels, [wrong] * 5, 3)  # 63 images that stand for themselves
    assert one.value - one.low > 1.2 * (alone.value - alone.low)


def former_parts(left_out, values, among, groups):
    """The variances before a class's own groups, and how many of them differ, were looked at."""
    units, images = len(left_out), len(left_out if groups is None else groups)
    images = images if among is None else int(among.sum())
    variance = float(left_out.var(correction=0))
    least = 1.5 / (units if groups is not None and not variance else images)
    first = (max((units - 1) * variance, least**2), max(units - 1.0, 1.0))
    return [first, (float(values.var()) / len(values), len(values) - 1.0)]


def test_no_interval_is_shorter_than_it_was():
    """From single images to few groups, from equal answers to scattered ones."""
    generator = torch.Generator().manual_seed(0)
    longer = 0
    for number in range(3000):
        count = int(torch.randint(5, 60, (), generator=generator))
        labels = torch.randint(0, 3, (count,), generator=generator)
        kinds = int(torch.randint(1, count, (), generator=generator))
        groups = torch.randint(0, kinds, (count,), generator=generator) if number % 3 else None
        among = labels == labels[0] if number % 2 else None
        units = count if groups is None else len(groups.unique())
        scale = torch.rand(2, generator=generator).double() ** 4
        left_out = scale[0] * torch.randn(units, generator=generator).double() / units
        left_out = torch.where(torch.rand(units, generator=generator) < scale[0], left_out, 0.0)
        values = scale[1] * torch.randn(5, generator=generator).double()
        before = t_interval(0.0, former_parts(left_out, values, among, groups)).high
        after = t_interval(0.0, variance_parts(left_out, values, among=among, groups=groups)).high
        assert after >= before * (1 - 1e-9)
        longer += after > before * 1.01
    assert longer > 300
