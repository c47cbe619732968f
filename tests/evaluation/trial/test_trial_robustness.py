import dataclasses

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.evaluation.features import ModuleExtractor
from synthgen.evaluation.trial import Trial
from synthgen.evaluation.trial.robustness import (
    own_answers,
    scenario_exams,
    scenario_groups,
    scenario_labels,
)


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


class Answers(torch.nn.Module):
    """Logits from the images themselves: the class whose mean training image is nearest."""

    def __init__(self, splits, classes=10):
        super().__init__()
        means = [splits.train.of_class(y).images.float().mean(0) / 255 for y in range(classes)]
        self.register_buffer("means", torch.stack(means))

    def forward(self, images):
        return -(images[:, None] - self.means).square().sum(dim=(2, 3, 4))


def own(network, **settings):
    return ModuleExtractor(network, title="mine", **settings)


def test_a_classifier_of_ones_own_is_asked_about_every_scenario(few):
    exams = scenario_exams(few, ["noise"], [0.0, 1.0])
    clean, hard = own_answers({"mine": own(Answers(few))}, exams, few)
    nearest = Answers(few)(few.test.images.float() / 255).argmax(1)
    expected = (nearest == few.test.labels).float().mean().item()
    assert clean.accuracy == pytest.approx(expected)
    assert hard.accuracy < clean.accuracy
    assert clean.ci_low < clean.accuracy < clean.ci_high
    assert (clean.arm, clean.name, clean.strength, clean.n) == ("mine", "noise", 0, 60)


def test_a_classifier_of_other_classes_is_refused(few):
    exams = scenario_exams(few, ["noise"], [0.5])
    with pytest.raises(SynthgenError, match=r"trial\.classifiers\.mine gives 9 values per image"):
        own_answers({"mine": own(Answers(few, classes=9))}, exams, few)


def test_classifiers_without_scenarios_are_refused(few):
    with pytest.raises(ValueError, match="there are none"):
        Trial(classifiers={"mine": own(Answers(few))})


def test_groups_follow_the_images_that_scenarios_are_made_of(splits, monkeypatch):
    monkeypatch.setattr("synthgen.evaluation.trial.robustness.SCENARIO_IMAGES", 30)
    assert scenario_groups(splits) is None
    grouped = dataclasses.replace(splits, test_groups=splits.test.labels * 7)
    assert torch.equal(scenario_groups(grouped), scenario_labels(splits) * 7)
