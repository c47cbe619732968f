import numpy as np
import pytest
import torch

from synthgen.evaluation.metrics.intervals import t_interval, wilson
from synthgen.evaluation.scores import (
    SCORES,
    accuracy,
    confusion,
    leave_one_out,
    macro_f1,
    recall_of,
    score_estimate,
)


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
        "macro_recall": metrics.recall_score(y, p, average="macro", zero_division=0),
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
    assert score_estimate(accuracy, labels, [labels], 2, n_images=10).low < 0.75


def test_wilson_and_satterthwaite_by_known_values():
    assert wilson(8, 10) == pytest.approx((0.8, 0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == 1
    found = t_interval(5.0, [(1.0, 4.0), (1.0, 4.0)])  # 8 degrees of freedom
    assert found.high == pytest.approx(5 + 2.306004 * 2**0.5, abs=1e-5)
