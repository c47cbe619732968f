import pytest
import torch

from synthgen.evaluation.classifiers import (
    ClassifierRequest,
    ForestClassifier,
    LogisticRegressionClassifier,
    TrainingRecipe,
)
from synthgen.evaluation.classifiers.extractor import ClassifierExtractor
from synthgen.evaluation.classifiers.sklearn import sample_weights


def test_weights_of_images_and_classes_multiply(digits):
    data = digits.train.subset(torch.arange(6))
    assert sample_weights(TrainingRecipe(data=data)) is None
    drawn, factors = torch.tensor([1.0, 2, 3, 4, 5, 6]), torch.arange(1.0, 11.0)
    found = sample_weights(TrainingRecipe(data=data, sampling_weights=drawn, class_weights=factors))
    expected = (drawn * factors[data.labels]).double()
    assert found == pytest.approx((expected / expected.mean()).numpy())


def test_copies_are_learned_beside_the_originals(digits):
    classifier = ForestClassifier(copies=2)
    data = digits.train.subset(torch.arange(5))
    recipe = TrainingRecipe(
        data=data,
        augment=lambda images, generator: images // 2,
        class_weights=torch.arange(1.0, 11.0),
    )
    images, labels, weights = classifier.learned(recipe, 0)
    assert torch.equal(images, torch.cat([data.images, data.images // 2, data.images // 2]))
    assert torch.equal(labels, data.labels.repeat(3))
    assert weights.shape == (15,)


def test_any_extractors_features_will_do(digits):
    extractor = ClassifierExtractor(steps=40)
    classifier = LogisticRegressionClassifier(features=extractor)
    steps = classifier.steps_for(digits.train)
    request = ClassifierRequest(
        recipe=TrainingRecipe(data=digits.train.subset(torch.arange(200))),
        seed=2**40,
        steps=steps,
        holdout=digits.holdout,
        exams={"test": digits.test.images},
    )
    found = classifier.examine(request)
    assert (found.predictions["test"] == digits.test.labels).double().mean() > 0.95
    assert extractor.name in classifier.describe(steps).network
    assert found.chosen_step == steps


def test_no_copies_at_all_are_refused():
    with pytest.raises(ValueError, match="copies"):
        ForestClassifier(copies=0)
