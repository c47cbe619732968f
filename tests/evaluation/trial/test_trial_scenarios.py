import dataclasses

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.evaluation.trial.scenarios import scenario_exams, scenario_labels


@pytest.fixture(scope="module")
def few(digits):
    return dataclasses.replace(digits, test=digits.test.subset(range(60)))


def test_each_corruption_at_each_strength(few):
    exams = scenario_exams(few, ["blur", "fog"], [0.0, 0.5, 1])
    assert list(exams) == [
        "scenario/blur/0",
        "scenario/blur/0.5",
        "scenario/blur/1",
        "scenario/fog/0",
        "scenario/fog/0.5",
        "scenario/fog/1",
    ]
    clean = exams["scenario/blur/0"]
    assert torch.equal(clean, exams["scenario/fog/0"])
    assert len(clean) == len(scenario_labels(few)) == 60
    changes = [(exams[f"scenario/fog/{s}"].float() - clean).abs().mean() for s in ("0.5", "1")]
    assert 0 < changes[0] < changes[1]


def test_labels_are_those_of_the_images(few):
    clean = scenario_exams(few, ["blur"], [0.0])["scenario/blur/0"]
    known = {
        image.numpy().tobytes(): int(y)
        for image, y in zip(few.test.images, few.test.labels, strict=True)
    }
    assert [known[image.numpy().tobytes()] for image in clean] == scenario_labels(few).tolist()


def test_the_same_images_are_made_harder_for_every_report(few):
    one, other = (scenario_exams(few, ["noise"], [0.5]) for _ in range(2))
    assert torch.equal(one["scenario/noise/0.5"], other["scenario/noise/0.5"])


def test_unknown_scenarios_are_named(few):
    with pytest.raises(SynthgenError, match=r"names smog, which is unknown.\nThere are blur, "):
        scenario_exams(few, ["blur", "smog"], [0.5])
