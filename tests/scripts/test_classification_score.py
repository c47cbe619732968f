"""The score of a set: trainings are kept, compared alike, and summed up with their scatter."""

import importlib

import pytest

from synthgen.data import Digits, prepare
from synthgen.evaluation.classifiers import CropFlip, ResNet56Classifier
from synthgen.io import read_json, write_json


@pytest.fixture
def script():
    return importlib.import_module("classification_score")


@pytest.fixture
def trainings(script, tmp_path):
    splits = prepare(Digits())
    judge = ResNet56Classifier(40, 64, depth=8, augment=CropFlip(flip="none"))
    for seed in (0, 1):
        found = script.score(judge, splits.train, splits, seed)
        write_json(tmp_path / f"real-{seed}.json", {"name": "real", **found})
    return tmp_path


def test_a_row_is_the_mean_of_its_trainings_with_an_interval(script, trainings):
    first, second = (read_json(trainings / f"real-{seed}.json") for seed in (0, 1))
    found = [100 * first["accuracy"], 100 * second["accuracy"]]
    row = script.table(trainings).splitlines()[-1]
    assert first["predictions"] != second["predictions"]
    assert min(found) > 50
    assert f"| real | 1,259 | 2 | {sum(found) / 2:.1f} (" in row
    assert f"| {found[0]:.1f}, {found[1]:.1f} |" in row
    assert "resnet8, 40 steps of 64, CropFlip(share=0.125, flip=none)" in row


def test_other_steps_need_another_folder(script, trainings):
    script.refuse_mixture(trainings, ResNet56Classifier(40, 64))
    with pytest.raises(SystemExit, match="took 40 steps of 64, but 50 of 64 were asked for"):
        script.refuse_mixture(trainings, ResNet56Classifier(50, 64))
