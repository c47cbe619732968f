import pytest
import torch

from synthgen.evaluation.classifiers import ClassifierRequest, MLPClassifier
from synthgen.evaluation.classifiers.base import HOLDOUT, Predictions, TrainingRecipe, answers_of
from synthgen.evaluation.classifiers.scores import SCORES, confusion
from synthgen.evaluation.trial.corrections import best_offsets, logit_adjustment, shifted, tuned
from synthgen.types import LabelledImages

BALANCED = SCORES["balanced_accuracy"]


def images(*counts):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    pixels = torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8)
    return LabelledImages(pixels, labels, tuple("abcdef"[: len(counts)]))


def drawn(counts, seed=0, strength=2.0):
    """Labels, and a classifier's answers that know the classes' shares too well."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    noise = torch.randn(len(labels), len(counts), generator=torch.Generator().manual_seed(seed))
    noise[torch.arange(len(labels)), labels] += strength
    return labels, answers_of(noise + 2 * torch.tensor(counts).double().log())


def balanced(answers, labels):
    classes = answers.shape[1]
    return float(BALANCED(confusion(labels, answers.argmax(1), classes)))


def test_the_adjustment_is_minus_the_log_of_the_classes_shares():
    found = logit_adjustment(TrainingRecipe(data=images(90, 10)))
    assert found == pytest.approx(-torch.tensor([0.9, 0.1]).log())
    counted = logit_adjustment(TrainingRecipe(data=images(10, 0)))
    assert counted == pytest.approx(-(torch.tensor([10, 0.5]) / 10.5).log())


def test_weights_count_as_images_do():
    data = images(90, 10)
    drawn_equally = TrainingRecipe(
        data=data, sampling_weights=torch.tensor([1.0, 9.0])[data.labels]
    )
    assert logit_adjustment(drawn_equally) == pytest.approx(torch.full((2,), 0.5).log().neg())
    weighted = TrainingRecipe(data=data, class_weights=torch.tensor([1.0, 9.0]))
    assert logit_adjustment(weighted) == pytest.approx(torch.full((2,), 0.5).log().neg())


@pytest.mark.parametrize("counts", [(900, 100), (600, 300, 60, 40)])
def test_tuned_thresholds_undo_a_preference(counts):
    labels, answers = drawn(counts)
    offsets = best_offsets(answers.double(), labels, BALANCED)
    better = balanced(answers.double() + offsets, labels)
    assert better > balanced(answers, labels) + 0.1
    fresh, others = drawn(counts, seed=1)
    assert balanced(others.double() + offsets, fresh) > balanced(others, fresh) + 0.1


def test_thresholds_that_can_gain_nothing_stay():
    labels = torch.arange(30) % 3
    answers = answers_of(9.0 * torch.nn.functional.one_hot(labels, 3)).double()
    assert best_offsets(answers, labels, BALANCED).tolist() == [0, 0, 0]


def test_the_threshold_of_two_classes_is_the_best_there_is():
    labels, answers = drawn((50, 14), seed=3)
    answers = answers.double()
    found = balanced(answers + best_offsets(answers, labels, BALANCED), labels)
    margins = answers[:, 0] - answers[:, 1]
    every = [balanced(answers + torch.tensor([0.0, m + 1e-6]), labels) for m in margins]
    assert found >= max(every) - 1e-12


def test_a_shift_changes_what_is_said_and_nothing_else():
    _, answers = drawn((40, 10))
    before = Predictions({"test": answers, HOLDOUT: answers}, [(1, 0.5)], 1, 3.0)
    after = shifted(before, torch.tensor([0.0, 2.0]))
    assert (after.curve, after.chosen_step, after.seconds) == (before.curve, 1, 0.0)
    assert torch.equal(after.answers["test"], answers_of(answers, torch.tensor([0.0, 2.0])))
    assert int((after.predictions["test"] == 1).sum()) > int(answers.argmax(1).sum())


def test_no_holdout_image_is_answered_with_thresholds_that_it_helped_to_choose():
    """Noise with tuned thresholds looks better than chance where they were tuned; here it may
    not."""
    scores, plain = [], []
    for seed in range(20):
        labels, answers = drawn((20, 20, 20), seed=seed, strength=0.0)
        given = Predictions({"test": answers, HOLDOUT: answers}, [], 1, 0.0)
        found = tuned(given, labels, BALANCED, seed)
        scores.append(balanced(found.answers[HOLDOUT], labels))
        plain.append(balanced(found.answers["test"], labels))
    assert sum(plain) / 20 > 1 / 3 + 0.05
    assert sum(scores) / 20 < 1 / 3 + 0.03


def test_a_judge_adds_the_lessons_offsets_to_all_it_says(digits):
    classifier, offsets = MLPClassifier(steps=20), torch.zeros(10)
    offsets[3] = 50.0
    asked = {"holdout": digits.holdout, "exams": {"test": digits.test.images}, "steps": 20}
    plain, moved = (
        classifier.examine(
            ClassifierRequest(
                recipe=TrainingRecipe(data=digits.train, offsets=given), **asked, seed=1
            )
        )
        for given in (None, offsets)
    )
    assert (moved.predictions["test"] == 3).all()
    assert (moved.predictions[HOLDOUT] == 3).all()
    expected = answers_of(plain.answers["test"], offsets)
    assert moved.answers["test"].double() == pytest.approx(expected.double(), abs=0.1)
