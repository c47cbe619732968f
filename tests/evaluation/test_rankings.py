import numpy as np
import pytest
import torch
from sklearn import metrics

from synthgen.evaluation.classifiers.rankings import RANKINGS, log_odds
from synthgen.evaluation.classifiers.scores import left_out_scores, ranked_parts, score_estimate
from synthgen.evaluation.trial.contrast import paired_contrast
from synthgen.stats import t_interval

AUROC, PRECISION = RANKINGS["macro_auroc"], RANKINGS["macro_average_precision"]
LABELS = torch.arange(60) % 3


def answers(seed, strength=1.0, labels=LABELS, classes=3):
    """Log-probabilities that know the truth a little."""
    logits = torch.randn(len(labels), classes, generator=torch.Generator().manual_seed(seed))
    logits[torch.arange(len(labels)), labels] += strength
    return logits.double().log_softmax(1)


def certain(found):
    """What is left of ranks when only labels are said: almost all are equal."""
    return (3.0 * torch.nn.functional.one_hot(found.argmax(1), 3)).double().log_softmax(1)


@pytest.mark.parametrize("change", [lambda x: x, certain], ids=["ranks", "ties"])
def test_they_are_scikit_learns(change):
    found = change(answers(0))
    p, truth = found.exp().round(decimals=9).numpy(), np.eye(3)[LABELS]
    theirs = metrics.roc_auc_score(truth, p, average="macro")
    assert float(AUROC.value(found, LABELS)) == pytest.approx(theirs)
    theirs = metrics.average_precision_score(truth, p, average="macro")
    assert float(PRECISION.value(found, LABELS)) == pytest.approx(theirs)


@pytest.mark.parametrize("ranking", RANKINGS.values(), ids=list(RANKINGS))
@pytest.mark.parametrize("change", [lambda x: x, certain], ids=["ranks", "ties"])
def test_the_jackknife_is_the_one_that_leaves_each_image_out(ranking, change):
    found, places = change(answers(1)), torch.arange(60)
    direct = [ranking.value(found[places != i], LABELS[places != i]) for i in range(60)]
    assert ranking.left_out(found, LABELS) == pytest.approx(torch.stack(direct))


@pytest.mark.parametrize("ranking", RANKINGS.values(), ids=list(RANKINGS))
def test_of_two_classes_a_moved_decision_changes_nothing(ranking):
    labels = (torch.arange(100) < 10).long()
    found = answers(2, labels=labels, classes=2)
    for shift in (-5.0, 0.3, 4.0):
        moved = (found + torch.tensor([0.0, shift])).log_softmax(1)
        assert ranking.value(moved, labels) == pytest.approx(ranking.value(found, labels))
    assert int(((found + torch.tensor([0.0, 4.0])).argmax(1) != found.argmax(1)).sum()) > 30


def test_log_odds_near_certainty_lose_nothing():
    found = log_odds(torch.tensor([[0.0, -20.0, -21.0], [0.0, -20.0, -22.0]], dtype=torch.float64))
    for row, others in ((0, (-20.0, -21.0)), (1, (-20.0, -22.0))):
        rest = torch.tensor(others, dtype=torch.float64)
        assert float(found[row, 0]) == pytest.approx(-float(rest.logsumexp(0)))
        assert float(found[row, 1]) == pytest.approx(-20.0, abs=1e-6)


@pytest.mark.parametrize("ranking", RANKINGS.values(), ids=list(RANKINGS))
def test_a_single_class_says_nothing_and_crashes_nothing(ranking):
    labels = torch.zeros(5, dtype=torch.int64)
    assert float(ranking.value(answers(0, labels=labels), labels)) == 0
    assert ranking.left_out(answers(0, labels=labels), labels).tolist() == [0] * 5


@pytest.mark.parametrize("ranking", RANKINGS.values(), ids=list(RANKINGS))
def test_groups_of_one_image_are_images(ranking):
    found = answers(3)
    alone = left_out_scores(ranking, LABELS, found, 3, None)
    each = left_out_scores(ranking, LABELS, found, 3, torch.arange(60))
    assert each == pytest.approx(alone)


def test_groups_are_left_out_together_nearly_as_the_images_themselves():
    found, groups = answers(4), torch.arange(60) // 3
    together = left_out_scores(AUROC, LABELS, found, 3, groups)
    direct = torch.stack([AUROC.value(found[groups != g], LABELS[groups != g]) for g in range(20)])
    deviation = direct - float(AUROC.value(found, LABELS))
    assert (together - direct).abs().max() < 0.1 * deviation.abs().max()


def test_copies_of_each_image_in_one_group_prove_nothing_more():
    found, labels = answers(5).repeat(4, 1), LABELS.repeat(4)
    other, groups = answers(6, 2.0).repeat(4, 1), torch.arange(60).repeat(4)
    once = paired_contrast(AUROC, LABELS, [other[:60]] * 2, [found[:60]] * 2, 3)
    copied = paired_contrast(AUROC, labels, [other] * 2, [found] * 2, 3, groups=groups)
    assert copied.difference == pytest.approx(once.difference)
    assert copied.standard_error == pytest.approx(once.standard_error, rel=0.1)


def test_few_images_of_a_class_have_few_degrees_of_freedom():
    labels = (torch.arange(206) < 6).long()
    found = answers(7, labels=labels, classes=2)
    left_out = PRECISION.left_out(found, labels)
    parts = ranked_parts(labels, left_out, torch.tensor([0.5]), None)
    assert {freedom for _, freedom in parts} == {5, 199}
    by_class = t_interval(0.0, parts)
    together = t_interval(0.0, [(sum(variance for variance, _ in parts), 205.0)])
    assert by_class.high > 1.2 * together.high


@pytest.mark.parametrize("ranking", RANKINGS.values(), ids=list(RANKINGS))
def test_perfect_answers_are_not_certain(ranking):
    """None of 20 images of a class was misplaced: about 3 in 20 still could be (rule of three)."""
    estimate = score_estimate(ranking, LABELS, [certain(answers(8, 99.0))] * 3, 3)
    assert estimate.value == 1
    assert 0.9 < estimate.low < 0.98


def test_intervals_of_rankings_hold_the_truth():
    """Differences of two equally good classifiers, 8 : 80 images: 0 is inside in 95 %."""
    labels = (torch.arange(88) < 8).long()
    missed = {name: 0 for name in RANKINGS}
    for trial in range(60):
        common = answers(1000 + trial, 1.5, labels, 2)
        arms = [
            [
                (common + 0.5 * torch.randn(88, 2, generator=torch.Generator().manual_seed(key)))
                for key in range(10 * trial + 5 * arm, 10 * trial + 5 * arm + 5)
            ]
            for arm in (0, 1)
        ]
        for name, ranking in RANKINGS.items():
            missed[name] += paired_contrast(ranking, labels, *arms, 2).verdict != "no evidence"
    assert max(missed.values()) <= 6
