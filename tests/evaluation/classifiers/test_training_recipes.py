"""Every judge follows every lesson, or says why not."""

import pytest
import torch

from synthgen.evaluation.classifiers import (
    ClassifierRequest,
    CropAffine,
    CropFlip,
    ForestClassifier,
    LinearClassifier,
    LogisticRegressionClassifier,
    MLPClassifier,
    ResNet56Classifier,
    SmallCNNClassifier,
    TrainingRecipe,
)
from synthgen.evaluation.classifiers.scores import accuracy

STEPS = {"small_cnn": 60, "mlp": 200, "linear": 200, "resnet8": 40}
JUDGES = [
    SmallCNNClassifier(batch_size=64),
    MLPClassifier(),
    LinearClassifier(),
    ResNet56Classifier(batch_size=64, depth=8),
]
ESTIMATORS = [LogisticRegressionClassifier(), ForestClassifier(trees=60, copies=2)]
GRADUAL = JUDGES[:3]  # what can be mixed, pre-trained and stopped
every_judge = pytest.mark.parametrize("judge", [*JUDGES, *ESTIMATORS], ids=lambda judge: judge.name)
gradual_judge = pytest.mark.parametrize("judge", GRADUAL, ids=lambda judge: judge.name)


def take(judge, digits, seed=0, score=None, **lesson):
    return judge.examine(
        ClassifierRequest(
            recipe=TrainingRecipe(**{"data": digits.train, **lesson}),
            seed=seed,
            steps=STEPS.get(judge.name, 100),
            holdout=digits.holdout,
            exams={"test": digits.test.images, "upside down": digits.test.images.flip(2)},
            score=score,
        )
    )


def right(digits, found):
    return float((found.predictions["test"] == digits.test.labels).double().mean())


@every_judge
def test_learns_digits_and_takes_every_exam_without_touching_global_randomness(judge, digits):
    before = torch.get_rng_state()
    found = take(judge, digits)
    assert torch.equal(torch.get_rng_state(), before)
    assert right(digits, found) > 0.9
    assert set(found.predictions) == {"test", "upside down", "holdout"}
    assert found.predictions["holdout"].shape == digits.holdout.labels.shape
    assert all(labels.dtype == torch.int64 for labels in found.predictions.values())
    assert found.curve[-1][0] == found.chosen_step == STEPS.get(judge.name, 100)
    holdout = (found.predictions["holdout"] == digits.holdout.labels).double().mean()
    assert found.curve[-1][1] == pytest.approx(float(holdout))


@every_judge
def test_the_same_seed_gives_the_same_predictions(judge, digits):
    augment = CropAffine(0.5)
    first, again = (take(judge, digits, augment=augment) for _ in range(2))
    other = take(judge, digits, seed=1, augment=augment)
    for name, labels in first.predictions.items():
        assert torch.equal(labels, again.predictions[name])
    assert first.curve == again.curve
    assert not torch.equal(first.predictions["upside down"], other.predictions["upside down"])


@every_judge
def test_labels_without_meaning_teach_nothing(judge, digits, shuffled):
    assert right(digits, take(judge, digits, data=shuffled)) < 0.3


@pytest.mark.parametrize("judge", [*GRADUAL, ESTIMATORS[0]], ids=lambda judge: judge.name)
@pytest.mark.parametrize("kind", ["sampling_weights", "class_weights"])
def test_weights_raise_the_recall_of_rare_classes(judge, kind, digits, imbalanced, tail_recall):
    weights = 1 / torch.tensor(imbalanced.counts).float()
    given = {"sampling_weights": weights[imbalanced.labels], "class_weights": weights}
    plain = tail_recall(take(judge, digits, data=imbalanced).predictions["test"])
    found = take(judge, digits, data=imbalanced, **{kind: given[kind]})
    assert tail_recall(found.predictions["test"]) > plain + 0.02


@every_judge
@pytest.mark.parametrize("kind", ["sampling_weights", "class_weights"])
def test_a_weight_of_zero_leaves_a_class_out(judge, kind, digits):
    weights = torch.ones(10)
    weights[3] = 0
    given = {"sampling_weights": weights[digits.train.labels], "class_weights": weights}
    found = take(judge, digits, **{kind: given[kind]}).predictions["test"]
    assert (found == 3).double().mean() < 0.01
    others = digits.test.labels != 3
    assert (found[others] == digits.test.labels[others]).double().mean() > 0.85


@every_judge
def test_augmentation_reaches_the_training_images_only(judge, digits):
    def blackened(images, generator):
        return torch.zeros_like(images)

    plain, blind = take(judge, digits), take(judge, digits, augment=blackened)
    if judge.name in STEPS:
        assert right(digits, blind) < 0.3
    assert not torch.equal(plain.predictions["test"], blind.predictions["test"])


def test_a_judges_own_augmentation_is_that_of_lessons_without_one(digits):
    def blackened(images, generator):
        return torch.zeros_like(images)

    blinding = SmallCNNClassifier(batch_size=64, augment=blackened)
    assert right(digits, take(blinding, digits)) < 0.3
    assert right(digits, take(blinding, digits, augment=CropFlip(0.0, "none"))) > 0.9
    assert "blackened" in blinding.describe(60)["augmentation"]
    assert SmallCNNClassifier().describe(60)["augmentation"].startswith("none")


@gradual_judge
def test_mixup_trains_another_classifier_that_is_still_good(judge, digits):
    plain, mixed = take(judge, digits), take(judge, digits, mixup=0.4)
    assert not torch.equal(plain.predictions["upside down"], mixed.predictions["upside down"])
    assert right(digits, mixed) > 0.9


@gradual_judge
def test_the_first_half_of_the_steps_learns_from_other_images(judge, digits, shuffled):
    misled = take(judge, digits, pretrain=shuffled)
    half = len(misled.curve) // 2
    assert misled.curve[half - 1][1] < 0.4
    assert right(digits, misled) > 0.85
    assert len(misled.curve) == len(take(judge, digits).curve)
    forgotten = take(judge, digits, data=shuffled, pretrain=digits.train)
    assert forgotten.curve[half - 1][1] > 0.8
    best = take(judge, digits, data=shuffled, pretrain=digits.train, score=accuracy)
    assert best.chosen_step <= STEPS[judge.name] // 2 + STEPS[judge.name] // 8 + 1
    assert right(digits, best) > 0.8 > right(digits, forgotten)


@gradual_judge
def test_the_best_moment_is_kept_and_the_later_of_equals(judge, digits):
    values = iter([0.1, 0.5, 0.3, 0.5, 0.2, 0.2, 0.2, 0.2] * 2)

    def scripted(matrix):
        return torch.tensor(next(values))

    found = take(judge, digits, score=scripted)
    assert [value for _, value in found.curve][:4] == pytest.approx([0.1, 0.5, 0.3, 0.5])
    assert found.chosen_step == found.curve[3][0] == STEPS[judge.name] // 2
    assert not torch.equal(
        found.predictions["upside down"], take(judge, digits).predictions["upside down"]
    )


@pytest.mark.parametrize("judge", ESTIMATORS, ids=lambda judge: judge.name)
def test_what_an_estimator_cannot_follow_is_said(judge, digits):
    assert judge.why_not(TrainingRecipe(data=digits.train)) is None
    for lesson in ({"mixup": 0.2}, {"pretrain": digits.train}):
        said = judge.why_not(TrainingRecipe(data=digits.train, **lesson))
        assert said.startswith(judge.name)
        with pytest.raises(Exception, match="choose another judge"):
            take(judge, digits, **lesson)


@every_judge
def test_the_protocol_is_plain_json(judge):
    import json

    described = judge.describe(30)
    assert json.loads(json.dumps(described)) == described
    assert {"name", "network", "steps", "optimizer"} <= set(described)
