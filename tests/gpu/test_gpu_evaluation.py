"""Features, classifiers and a whole run on a CUDA device."""

import json

import pytest
import torch

from synthgen.evaluation.classifiers import (
    ClassifierRequest,
    CropAffine,
    CropFlip,
    LinearClassifier,
    MLPClassifier,
    ResNet18Classifier,
    ResNet56Classifier,
    SmallCNNClassifier,
    TrainingRecipe,
    TrivialAugment,
)
from synthgen.evaluation.classifiers.extractor import ClassifierExtractor
from synthgen.evaluation.features import PixelExtractor
from synthgen.seeds import step_generator

pytestmark = pytest.mark.gpu

CLASSIFIERS = [
    SmallCNNClassifier(batch_size=64),
    MLPClassifier(),
    LinearClassifier(),
    ResNet56Classifier(batch_size=64, depth=8),
    ResNet18Classifier(batch_size=64),
]


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda classifier: classifier.name)
def test_every_judge_learns_digits_there(classifier, digits):
    request = ClassifierRequest(
        recipe=TrainingRecipe(data=digits.train, augment=CropAffine(0.5)),
        seed=0,
        steps=150,
        holdout=digits.holdout,
        exams={"test": digits.test.images},
    )
    found = classifier.examine(request)
    assert (found.predictions["test"] == digits.test.labels).double().mean() > 0.9


@pytest.mark.parametrize("policy", [CropAffine(), CropFlip(), TrivialAugment()], ids=repr)
def test_augmentations_do_there_what_they_do_here(policy, digits):
    images = digits.train.images[:200]
    here = policy(images, step_generator(0)).float()
    there = policy(images.to("cuda"), step_generator(0)).cpu().float()
    assert ((here - there).abs() > 1).double().mean() < 0.01


@pytest.mark.parametrize("extractor", [ClassifierExtractor, PixelExtractor])
def test_features_are_those_of_full_float32(extractor, digits):
    """TF32 would be off by 1e-3."""
    found = extractor()
    found.prepare(digits.train, 0)
    there = found.extract(digits.test.images)
    if getattr(found, "network", None) is not None:
        assert next(found.network.parameters()).device.type == "cuda"
        found.network.to("cpu")
    found.to("cpu")
    here = found.extract(digits.test.images)
    assert (there - here).norm() / here.norm() < 2e-5


def test_a_whole_run_and_its_images_drawn_again(synthgen, tmp_path):
    run = tmp_path / "run"
    settings = ["max_images=2000", "plan.per_class=20", "judge.steps=50", "seeds=1", "logger=csv"]
    found = synthgen("run", *settings, "device=cuda", f"out={run}")
    assert found.code == 0, found.err
    assert synthgen("verify", run / "synthetic").code == 0
    settings = ["plan.per_class=20", "device=cuda", "batch_size=7", "logger=csv"]
    again = synthgen("synthesize", f"sampler={run}", *settings, f"out={tmp_path / 'again'}")
    assert again.code == 0, again.err
    assert hashes(run / "synthetic") == hashes(tmp_path / "again")
    report = json.loads((run / "report" / "report.json").read_text())
    assert report["results"]
    assert torch.cuda.max_memory_allocated() > 0


def hashes(folder):
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    return [json.loads(line)["sha256"] for line in lines]
