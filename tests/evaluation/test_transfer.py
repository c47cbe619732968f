"""A set that lacks a class, without a trial."""

import torch

from synthgen.evaluation.classifiers import MLPClassifier
from synthgen.evaluation.result import Findings
from synthgen.evaluation.transfer import add_transfer, add_transfer_references


def test_a_set_that_lacks_a_class_is_not_taught_alone_nor_blamed_for_it(digits, drawn):
    some = drawn.subset(drawn.labels != 4)
    found, classifier = Findings(sentences=[]), MLPClassifier(steps=16)
    add_transfer(found, digits, some, classifier, 16, 2, 0)
    add_transfer_references(found, digits, some, {"noise": some}, classifier, 16, 0)
    text = " ".join(found.sentences)
    assert "Synthetic only was not tested: its images show no 4" in text
    assert "teaches worst" not in text
    assert "A classifier trained on the real images got" in text
    arms = {result.name.split("/")[1] for result in found.results}
    assert arms == {"real_only", "real_and_synthetic"} == set(found.confusion)
    assert not [one for one in found.references if "synthetic_only" in one.name]


def test_a_set_of_all_classes_is_taught_alone(digits, drawn):
    found = Findings(sentences=[])
    add_transfer(found, digits, drawn, MLPClassifier(steps=16), 16, 2, 0)
    assert set(found.confusion) == {"real_only", "synthetic_only", "real_and_synthetic"}
    assert torch.tensor(found.confusion["synthetic_only"].matrix).sum() == 2 * len(digits.test)
