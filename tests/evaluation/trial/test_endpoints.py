import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.evaluation.scores import SCORES, confusion
from synthgen.evaluation.trial.endpoints import (
    ENDPOINTS,
    endpoint_score,
    mean_recall_of,
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
    assert float(endpoint_score(name, [1])(confusion(labels, labels, 3))) == pytest.approx(1)
    assert name == "tail_recall" or endpoint_score(name, []) is SCORES[name]


def test_unknown_endpoints_and_missing_tails_are_said_in_a_sentence():
    with pytest.raises(SynthgenError, match=r"'f2', which is unknown.\nUse one of accuracy, "):
        endpoint_score("f2", [])
    with pytest.raises(SynthgenError, match=r"needs rare classes.*\nName them with trial.tail"):
        endpoint_score("tail_recall", [])
