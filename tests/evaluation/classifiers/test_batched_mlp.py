import pytest
import torch
from torch import nn
from torch.nn import functional as F

from synthgen.evaluation.classifiers import (
    ClassifierRequest,
    CropAffine,
    LinearClassifier,
    MLPClassifier,
    TrainingRecipe,
    batched_mlp,
)
from synthgen.evaluation.classifiers.batched_mlp import (
    StackedPerceptrons,
    initial_weights,
    logits,
)
from synthgen.evaluation.classifiers.scores import accuracy
from synthgen.types import LabelledImages


@pytest.mark.parametrize("sizes", [(20, 4), (20, 12, 4), (20, 12, 8, 4)])
def test_steps_are_those_of_autograd_and_its_sgd(sizes):
    networks = [initial_weights(sizes, seed) for seed in (0, 1)]
    stack = StackedPerceptrons(networks, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.rand(3, 2, 16, 20, generator=generator), torch.arange(16) % 4
    targets = F.one_hot(labels, 4).float() / 16
    for step in range(3):
        stack.step(inputs[step], targets.expand(2, 16, 4), 0.2)
    for position, network in enumerate(networks):
        parameters = [nn.Parameter(part.clone()) for part in network]
        optimizer = torch.optim.SGD(parameters, lr=0.2, momentum=0.9)
        for step in range(3):
            loss = F.cross_entropy(logits(parameters, inputs[step][position]), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for ours, theirs in zip(stack.network(position), parameters, strict=True):
            torch.testing.assert_close(ours, theirs.data, atol=1e-6, rtol=1e-5)


def recipes(digits):
    """As different as can be."""
    train = digits.train
    return [
        TrainingRecipe(data=train),
        TrainingRecipe(data=train.subset(torch.arange(30))),
        TrainingRecipe(data=train, mixup=0.3),
        TrainingRecipe(data=train, pretrain=train.subset(torch.arange(99))),
        TrainingRecipe(data=train, augment=CropAffine(0.5)),
        TrainingRecipe(data=train, class_weights=torch.arange(1.0, 11.0)),
        TrainingRecipe(data=train, pretrain=train, sampling_weights=torch.rand(len(train)) + 0.1),
    ]


@pytest.mark.parametrize(
    "classifier", [MLPClassifier(), LinearClassifier()], ids=lambda classifier: classifier.name
)
@pytest.mark.parametrize("score", [None, accuracy])
def test_together_or_alone_is_the_same(classifier, score, digits):
    exams = {"test": digits.test.images}
    requests = [
        ClassifierRequest(
            recipe=recipe, seed=seed, steps=100, holdout=digits.holdout, exams=exams, score=score
        )
        for seed in (0, 5)
        for recipe in recipes(digits)
    ]
    together = classifier.examine_all(requests)
    for request, found in zip(requests, together, strict=True):
        alone = classifier.examine(request)
        alike = (found.predictions["test"] == alone.predictions["test"]).double().mean()
        assert alike >= 0.999 - 1 / len(digits.test)
        assert [step for step, _ in found.curve] == [step for step, _ in alone.curve]


def test_neither_weights_nor_batches_depend_on_the_other_jobs(digits, monkeypatch):
    seen = []

    class Recorder(StackedPerceptrons):
        def __init__(self, networks, device):
            super().__init__(networks, device)
            seen.append({"weights": [w.clone() for w in self.weights], "batches": []})

        def step(self, inputs, targets, learning_rate):
            seen[-1]["batches"].append((inputs.clone(), targets.clone()))
            super().step(inputs, targets, learning_rate)

    monkeypatch.setattr(batched_mlp, "StackedPerceptrons", Recorder)
    asked = {"holdout": digits.holdout, "exams": {}, "steps": 6, "seed": 4}
    recipes = [TrainingRecipe(data=digits.train, mixup=m, augment=CropAffine()) for m in (0, 0.5)]
    requests = [ClassifierRequest(recipe=recipe, **asked) for recipe in recipes]
    MLPClassifier().examine_all(requests)
    MLPClassifier().examine_all(requests[1:])
    both, alone = seen
    for ours, theirs in zip(both["weights"], alone["weights"], strict=True):
        assert torch.equal(ours[1], theirs[0])
        assert torch.equal(ours[0], ours[1])  # the same seed: the same weights for every recipe
    for ours, theirs in zip(both["batches"], alone["batches"], strict=True):
        assert torch.equal(ours[0][1], theirs[0][0])
        assert torch.equal(ours[1][1], theirs[1][0])
        assert not torch.equal(ours[0][0], ours[0][1])


def test_pixels_that_are_always_black_may_be_left_out(digits, monkeypatch):
    """The initial weights of such pixels still see them where an exam's image isn't black there."""
    train = LabelledImages(digits.train.images.clone(), digits.train.labels, digits.train.classes)
    train.images[..., :2] = 0
    asked = {"holdout": digits.holdout, "exams": {"test": digits.test.images}, "steps": 100}
    request = ClassifierRequest(recipe=TrainingRecipe(data=train), **asked, seed=0)
    short = MLPClassifier().examine(request)
    monkeypatch.setattr(
        batched_mlp, "used_pixels", lambda learners: torch.ones(64, dtype=torch.bool)
    )
    long = MLPClassifier().examine(request)
    alike = (short.predictions["test"] == long.predictions["test"]).double().mean()
    assert alike >= 0.999 - 1 / len(digits.test)


def test_many_requests_are_answered_in_their_order(digits):
    """Whatever each asks for: other steps, other exams, images that change half-way."""
    parts = [digits.train.of_class(k) for k in range(10)]
    requests = [
        ClassifierRequest(
            recipe=TrainingRecipe(data=part, pretrain=part if k % 2 else None),
            seed=k,
            steps=20 + k // 5,
            holdout=digits.holdout,
            exams={"test": digits.test.images} if k % 3 else {},
        )
        for k, part in enumerate(parts)
    ]
    for label, examination in enumerate(LinearClassifier().examine_all(requests)):
        assert (examination.predictions["holdout"] == label).all()
        assert set(examination.answers) == {"holdout", *(["test"] if label % 3 else [])}
        assert examination.chosen_step == 20 + label // 5


def test_the_learning_rate_rises_once_and_falls_to_nothing(digits):
    from synthgen.evaluation.classifiers.trainer import phases_of

    phase = phases_of(TrainingRecipe(data=digits.train), 100)[0]
    rates = [MLPClassifier(learning_rate=0.5).rate(number, phase) for number in range(100)]
    peak = rates.index(max(rates))
    assert 10 <= peak <= 20
    assert 0.48 < rates[peak] <= 0.5
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.001
