import math
from dataclasses import replace

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers import (
    ClassifierRequest,
    LinearClassifier,
    MLPClassifier,
    SmallCNNClassifier,
    TrainingRecipe,
)
from synthgen.evaluation.classifiers.base import (
    EarlyStopping,
    answers_of,
    moments_of,
)
from synthgen.evaluation.classifiers.scores import accuracy
from synthgen.evaluation.classifiers.trainer import class_factors, mixing, phases_of, train
from synthgen.types import LabelledImages


def test_class_factors_are_one_on_average_over_what_is_seen(imbalanced):
    weights = torch.arange(1.0, 11.0)
    for drawn in (None, torch.rand(len(imbalanced))):
        recipe = TrainingRecipe(data=imbalanced, class_weights=weights, sampling_weights=drawn)
        factors = class_factors(phases_of(recipe, 10)[0])
        seen = torch.ones(len(imbalanced)) if drawn is None else drawn
        mean = (factors[imbalanced.labels] * seen).sum() / seen.sum()
        assert float(mean) == pytest.approx(1, abs=1e-4)
        torch.testing.assert_close(factors / factors[0], weights)


def test_steps_are_shared_between_before_and_after(digits):
    recipe = TrainingRecipe(data=digits.train, pretrain=digits.test, class_weights=torch.ones(10))
    before, after = phases_of(recipe, 7)
    assert (before.steps, after.steps) == (3, 4)
    assert (before.data, after.data) == (digits.test, digits.train)
    assert before.class_weights is None
    assert after.class_weights is recipe.class_weights
    assert [phase.steps for phase in phases_of(recipe, 1)] == [1]
    assert [phase.steps for phase in phases_of(TrainingRecipe(data=digits.train), 7)] == [7]


@pytest.mark.parametrize("score", [None, accuracy])
@pytest.mark.parametrize("classifier", [SmallCNNClassifier, MLPClassifier, LinearClassifier])
def test_a_training_that_diverges_is_no_result(digits, classifier, score):
    given = {"steps": 16, "seed": 0, "score": score, "holdout": digits.holdout, "exams": {}}
    request = ClassifierRequest(recipe=TrainingRecipe(data=digits.train), **given)
    with pytest.raises(SynthgenError, match=r"diverged.*\n.*judge\.learning_rate"):
        classifier(learning_rate=1e30).examine(request)


def test_weights_that_exploded_are_told_from_large_ones():
    """Of two classes 70,000 apart half precision holds only one; 60,000 it holds."""
    assert answers_of(torch.tensor([[0.0, 6e4]])).tolist() == [[-6e4, 0.0]]
    for logits in ([0.0, 7e4], [0.0, math.nan], [math.inf, 0.0]):
        with pytest.raises(SynthgenError, match="diverged"):
            answers_of(torch.tensor([logits]))


@pytest.mark.parametrize("part", ["weight", "running_var"])
def test_no_network_leaves_training_with_a_number_that_is_none(digits, part):
    def spoil(step, network):
        for name, one in network.state_dict().items():
            if step == 2 and name.endswith(part):
                one[0] = math.inf

    recipe, options = TrainingRecipe(data=digits.train), {"steps": 2, "batch_size": 4, "seed": 0}
    options |= {"learning_rate": 0.1, "device": torch.device("cpu"), "on_step": spoil}
    with pytest.raises(SynthgenError, match="diverged"):
        train(SmallCNNClassifier().network, recipe, **options)


def test_shares_of_mixup_follow_the_beta_distribution():
    shares = torch.tensor([mixing(0.4, 2, 0, step)[0] for step in range(3000)])
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.02)
    variance = 1 / (4 * (2 * 0.4 + 1))
    assert float(shares.var()) == pytest.approx(variance, rel=0.08)
    assert mixing(0.4, 8, 0, 1)[1].sort().values.tolist() == list(range(8))


def test_moments_are_spread_and_end_at_the_last_step():
    assert moments_of(80) == [10, 20, 30, 40, 50, 60, 70, 80]
    assert moments_of(3) == [1, 2, 3]
    assert moments_of(1) == [1]


def test_a_choice_rests_on_the_whole_holdout_a_curve_on_a_part():
    many = LabelledImages(
        torch.zeros(5000, 1, 1, 1, dtype=torch.uint8), torch.zeros(5000).long(), ("a",)
    )
    request = ClassifierRequest(
        recipe=TrainingRecipe(data=many), seed=0, steps=1, holdout=many, exams={}
    )
    assert len(request.looked_at) == 2000
    assert len(replace(request, score=accuracy).looked_at) == 5000


def test_a_score_that_is_no_number_never_wins():
    watch = EarlyStopping(torch.zeros(2).long(), 2, lambda matrix: matrix[0, 1] / matrix[0, 1])
    assert watch.see(1, torch.tensor([0, 0]))  # there is no other yet
    assert watch.see(2, torch.tensor([0, 1]))
    assert not watch.see(3, torch.tensor([0, 0]))
    assert watch.chosen_step == 2
