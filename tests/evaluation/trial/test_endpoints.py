import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers.rankings import RANKINGS
from synthgen.evaluation.classifiers.scores import SCORES, confusion, value_of
from synthgen.evaluation.trial.endpoints import (
    ENDPOINTS,
    choosing_name,
    choosing_score,
    declared_endpoint,
    endpoint_score,
    mean_recall_of,
    other_classes,
    tail_labels,
)
from synthgen.types import LabelledImages


def images(*counts):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    names = tuple("abcdef"[: len(counts)])
    return LabelledImages(torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8), labels, names)


def test_rare_classes_have_at_most_half_the_median_number():
    assert tail_labels(images(100, 50, 100, 51, 10), None) == [4]
    assert tail_labels(images(100, 50, 100, 100, 10), None) == [1, 4]
    assert tail_labels(images(40, 40, 40), None) == []


def test_named_classes_are_taken_as_named():
    assert tail_labels(images(5, 5, 5), ["c", "a"]) == [2, 0]
    with pytest.raises(SynthgenError, match=r"trial.tail names z, .*\nIts classes are a, b, c"):
        tail_labels(images(5, 5, 5), ["a", "z"])


def test_mean_recall_of_rare_classes_ignores_the_others():
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    predicted = torch.tensor([1, 1, 1, 1, 0, 2])
    matrix = confusion(labels, predicted, 4)
    assert float(mean_recall_of([1, 2])(matrix)) == pytest.approx(0.75)
    assert float(mean_recall_of([1, 3])(matrix)) == pytest.approx(0.25)  # 3 has no test image


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_endpoint_is_1_for_a_perfect_classifier(name):
    labels = torch.arange(12) % 3
    answers = 9.0 * torch.nn.functional.one_hot(labels, 3)
    assert float(value_of(endpoint_score(name, [1]), labels, answers, 3)) == pytest.approx(1)
    assert name == "tail_recall" or endpoint_score(name, []) is (SCORES | RANKINGS)[name]


def test_the_sizes_of_the_classes_declare_the_endpoint():
    assert declared_endpoint(None, images(40, 40, 21)) == "macro_f1"
    assert declared_endpoint(None, images(40, 40, 20)) == "macro_average_precision"
    assert declared_endpoint(None, images(400, 20, 20)) == "macro_average_precision"
    assert declared_endpoint("accuracy", images(400, 20)) == "accuracy"


def test_recall_of_the_rare_classes_chooses_nothing_by_itself():
    """On the holdout too it could be bought."""
    assert choosing_score("tail_recall", [1]) is RANKINGS[choosing_name("tail_recall")]
    assert choosing_score("accuracy", []) is SCORES[choosing_name("accuracy")]


def test_rare_classes_need_others_beside_them():
    assert other_classes([1], torch.tensor([0, 1, 2]), "abcd") == [0, 2]
    with pytest.raises(SynthgenError, match=r"needs classes beside the rare ones.*\nName fewer"):
        other_classes([0, 1], torch.tensor([0, 1, 1]), "abc")


def test_unknown_endpoints_and_missing_tails_are_said_in_a_sentence():
    with pytest.raises(SynthgenError, match=r"'f2', which is unknown.\nUse one of accuracy, "):
        endpoint_score("f2", [])
    with pytest.raises(SynthgenError, match=r"needs rare classes.*\nName them with trial.tail"):
        endpoint_score("tail_recall", [])
