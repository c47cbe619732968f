"""Every classifier follows every recipe, or says why not."""

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers import (
    ClassifierRequest,
    CropAffine,
    CropFlip,
    ForestClassifier,
    LinearClassifier,
    LogisticRegressionClassifier,
    MLPClassifier,
    Predictions,
    ResNet56Classifier,
    SmallCNNClassifier,
    TrainingRecipe,
)
from synthgen.evaluation.classifiers.base import examined
from synthgen.evaluation.classifiers.scores import accuracy

STEPS = {"small_cnn": 60, "mlp": 200, "linear": 200, "resnet8": 40}
CLASSIFIERS = [
    SmallCNNClassifier(batch_size=64),
    MLPClassifier(),
    LinearClassifier(),
    ResNet56Classifier(batch_size=64, depth=8),
]
ESTIMATORS = [LogisticRegressionClassifier(), ForestClassifier(trees=60, copies=2)]
GRADUAL = CLASSIFIERS[:3]  # what can be mixed, pre-trained and stopped
every_classifier = pytest.mark.parametrize(
    "classifier", [*CLASSIFIERS, *ESTIMATORS], ids=lambda classifier: classifier.name
)
gradual_classifier = pytest.mark.parametrize(
    "classifier", GRADUAL, ids=lambda classifier: classifier.name
)


def take(classifier, digits, seed=0, score=None, **recipe):
    return classifier.examine(
        ClassifierRequest(
            recipe=TrainingRecipe(**{"data": digits.train, **recipe}),
            seed=seed,
            steps=STEPS.get(classifier.name, 100),
            holdout=digits.holdout,
            exams={"test": digits.test.images, "upside down": digits.test.images.flip(2)},
            score=score,
        )
    )


def right(digits, found):
    return float((found.predictions["test"] == digits.test.labels).double().mean())


@every_classifier
def test_learns_digits_and_takes_every_exam_without_touching_global_randomness(classifier, digits):
    before = torch.get_rng_state()
    found = take(classifier, digits)
    assert torch.equal(torch.get_rng_state(), before)
    assert right(digits, found) > 0.9
    assert set(found.predictions) == {"test", "upside down", "holdout"}
    assert found.predictions["holdout"].shape == digits.holdout.labels.shape
    assert all(labels.dtype == torch.int64 for labels in found.predictions.values())
    assert all(answers.dtype == torch.float16 for answers in found.answers.values())
    assert found.answers["test"].shape == (len(digits.test), 10)
    assert found.curve[-1][0] == found.chosen_step == STEPS.get(classifier.name, 100)
    holdout = (found.predictions["holdout"] == digits.holdout.labels).double().mean()
    assert found.curve[-1][1] == pytest.approx(float(holdout))


@every_classifier
def test_the_same_seed_gives_the_same_predictions(classifier, digits):
    augment = CropAffine(0.5)
    first, again = (take(classifier, digits, augment=augment) for _ in range(2))
    other = take(classifier, digits, seed=1, augment=augment)
    for name, labels in first.predictions.items():
        assert torch.equal(labels, again.predictions[name])
    assert first.curve == again.curve
    assert not torch.equal(first.predictions["upside down"], other.predictions["upside down"])


@every_classifier
def test_labels_without_meaning_teach_nothing(classifier, digits, shuffled):
    assert right(digits, take(classifier, digits, data=shuffled)) < 0.3


@pytest.mark.parametrize(
    "classifier", [*GRADUAL, ESTIMATORS[0]], ids=lambda classifier: classifier.name
)
@pytest.mark.parametrize("kind", ["sampling_weights", "class_weights"])
def test_weights_raise_the_recall_of_rare_classes(
    classifier, kind, digits, imbalanced, tail_recall
):
    weights = 1 / torch.tensor(imbalanced.counts).float()
    given = {"sampling_weights": weights[imbalanced.labels], "class_weights": weights}
    plain = tail_recall(take(classifier, digits, data=imbalanced).predictions["test"])
    found = take(classifier, digits, data=imbalanced, **{kind: given[kind]})
    assert tail_recall(found.predictions["test"]) > plain + 0.02


@every_classifier
@pytest.mark.parametrize("kind", ["sampling_weights", "class_weights"])
def test_a_weight_of_zero_leaves_a_class_out(classifier, kind, digits):
    weights = torch.ones(10)
    weights[3] = 0
    given = {"sampling_weights": weights[digits.train.labels], "class_weights": weights}
    found = take(classifier, digits, **{kind: given[kind]}).predictions["test"]
    assert (found == 3).double().mean() < 0.01
    others = digits.test.labels != 3
    assert (found[others] == digits.test.labels[others]).double().mean() > 0.85


@every_classifier
def test_augmentation_reaches_the_training_images_only(classifier, digits):
    def blackened(images, generator):
        return torch.zeros_like(images)

    plain, blind = take(classifier, digits), take(classifier, digits, augment=blackened)
    if classifier.name in STEPS:
        assert right(digits, blind) < 0.3
    assert not torch.equal(plain.predictions["test"], blind.predictions["test"])


def test_a_judges_own_augmentation_is_that_of_lessons_without_one(digits):
    def blackened(images, generator):
        return torch.zeros_like(images)

    blinding = SmallCNNClassifier(batch_size=64, augment=blackened)
    assert right(digits, take(blinding, digits)) < 0.3
    assert right(digits, take(blinding, digits, augment=CropFlip(0.0, "none"))) > 0.9
    assert "blackened" in blinding.describe(60).augmentation
    assert SmallCNNClassifier().describe(60).augmentation.startswith("none")


@gradual_classifier
def test_mixup_trains_another_classifier_that_is_still_good(classifier, digits):
    plain, mixed = take(classifier, digits), take(classifier, digits, mixup=0.4)
    assert not torch.equal(plain.predictions["upside down"], mixed.predictions["upside down"])
    assert right(digits, mixed) > 0.9


@gradual_classifier
def test_the_first_half_of_the_steps_learns_from_other_images(classifier, digits, shuffled):
    misled = take(classifier, digits, pretrain=shuffled)
    half = len(misled.curve) // 2
    assert misled.curve[half - 1][1] < 0.4
    assert right(digits, misled) > 0.85
    assert len(misled.curve) == len(take(classifier, digits).curve)
    forgotten = take(classifier, digits, data=shuffled, pretrain=digits.train)
    assert forgotten.curve[half - 1][1] > 0.8
    best = take(classifier, digits, data=shuffled, pretrain=digits.train, score=accuracy)
    assert best.chosen_step <= STEPS[classifier.name] // 2 + STEPS[classifier.name] // 8 + 1
    assert right(digits, best) > 0.8 > right(digits, forgotten)


@gradual_classifier
def test_the_best_moment_is_kept_and_the_later_of_equals(classifier, digits):
    values = iter([0.1, 0.5, 0.3, 0.5, 0.2, 0.2, 0.2, 0.2] * 2)

    def scripted(matrix):
        return torch.tensor(next(values))

    found = take(classifier, digits, score=scripted)
    assert [value for _, value in found.curve][:4] == pytest.approx([0.1, 0.5, 0.3, 0.5])
    assert found.chosen_step == found.curve[3][0] == STEPS[classifier.name] // 2
    assert not torch.equal(
        found.predictions["upside down"], take(classifier, digits).predictions["upside down"]
    )


@pytest.mark.parametrize("classifier", ESTIMATORS, ids=lambda classifier: classifier.name)
def test_what_an_estimator_cannot_follow_is_said(classifier, digits):
    assert classifier.why_not(TrainingRecipe(data=digits.train)) is None
    for recipe in ({"mixup": 0.2}, {"pretrain": digits.train}):
        said = classifier.why_not(TrainingRecipe(data=digits.train, **recipe))
        assert said.startswith(classifier.name)
        with pytest.raises(Exception, match="choose another judge"):
            take(classifier, digits, **recipe)


@every_classifier
def test_the_protocol_says_what_it_is(classifier):
    described = classifier.describe(30)
    assert (described.name, described.steps) == (classifier.name, 30)
    assert described.network


@pytest.mark.parametrize(
    ("answers", "given"),
    [
        ({"test": torch.zeros(359, 9).half()}, r"they are of shape \(359, 9\)"),
        ({"test": torch.zeros(358, dtype=torch.int64)}, r"they are of shape \(358,\)"),
        ({}, "they are left out"),
    ],
)
def test_answers_that_would_give_a_wrong_score_are_refused(digits, answers, given):
    class Mine(MLPClassifier):
        def examine(self, request):
            return Predictions(answers, [], 1, 0.0)

        def examine_all(self, requests):
            return [self.examine(one) for one in requests]

    request = ClassifierRequest(
        recipe=TrainingRecipe(data=digits.train),
        seed=0,
        steps=1,
        holdout=digits.holdout,
        exams={"test": digits.test.images},
    )
    with pytest.raises(SynthgenError, match=given):
        examined(Mine(), [request])
