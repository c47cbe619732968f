import pytest
import torch

from synthgen.evaluation.classifiers import ClassifierRequest, SmallCNNClassifier, TrainingRecipe
from synthgen.evaluation.classifiers.base import automatic_steps
from synthgen.evaluation.classifiers.networks import SmallCNN
from synthgen.types import ImageSpec


@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 48), (1, 3, 5)]
)
def test_network_takes_any_shape(channels, height, width):
    network = SmallCNN(ImageSpec(channels, height, width, ("a", "b", "c"))).eval()
    images = torch.zeros(2, channels, height, width)
    assert network(images).shape == (2, 3)
    assert network.features(images).shape == (2, 128)


def test_steps_follow_the_real_data_within_limits():
    assert automatic_steps(100, 128) == 400
    assert automatic_steps(3200, 128) == 1000
    assert automatic_steps(10**6, 128) == 2000


def examine(digits, seed=0, data=None):
    request = ClassifierRequest(
        recipe=TrainingRecipe(data=data or digits.train),
        seed=seed,
        steps=80,
        holdout=digits.holdout,
        exams={"test": digits.test.images},
    )
    return SmallCNNClassifier(batch_size=64).examine(request)


def test_learns_real_digits_and_records_the_way(digits):
    before = torch.get_rng_state()
    found = examine(digits)
    right = (found.predictions["test"] == digits.test.labels).double().mean()
    assert right > 0.93
    assert [step for step, _ in found.curve] == [10, 20, 30, 40, 50, 60, 70, 80]
    assert found.curve[-1][1] > 0.93
    assert torch.equal(torch.get_rng_state(), before)


def test_same_seed_same_predictions_other_seed_other_weights(digits):
    first, again, other = examine(digits), examine(digits), examine(digits, seed=1)
    assert torch.equal(first.predictions["test"], again.predictions["test"])
    assert first.curve == again.curve
    assert first.curve != other.curve


def test_shuffled_labels_teach_nothing(digits):
    from synthgen.types import LabelledImages

    order = torch.randperm(len(digits.train), generator=torch.Generator().manual_seed(0))
    wrong = LabelledImages(digits.train.images, digits.train.labels[order], digits.train.classes)
    found = examine(digits, data=wrong)
    assert (found.predictions["test"] == digits.test.labels).double().mean() < 0.3
