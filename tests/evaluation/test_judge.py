import pytest
import torch

from synthgen.evaluation.classifier import SmallCNN, shuffled_batches
from synthgen.evaluation.judge import Judge
from synthgen.evaluation.steps import automatic_steps
from synthgen.seeds import step_generator
from synthgen.types import ImageSpec


@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 48), (1, 3, 5)]
)
def test_network_takes_any_shape(channels, height, width):
    network = SmallCNN(ImageSpec(channels, height, width, ("a", "b", "c"))).eval()
    images = torch.zeros(2, channels, height, width)
    assert network(images).shape == (2, 3)
    assert network.features(images).shape == (2, 128)


def test_every_image_is_seen_equally_often():
    batches = shuffled_batches(10, 8, step_generator(0))
    seen = torch.bincount(torch.cat([next(batches) for _ in range(6)]), minlength=10)
    assert seen.sum() == 48
    assert seen.max() - seen.min() <= 1


def test_batches_are_full_even_from_fewer_images():
    assert next(shuffled_batches(3, 8, step_generator(0))).shape == (8,)


def test_steps_follow_the_real_data_within_limits():
    assert automatic_steps(100, 128) == 400
    assert automatic_steps(3200, 128) == 1000
    assert automatic_steps(10**6, 128) == 2000


def examine(digits, seed=0, data=None):
    judge = Judge(batch_size=64)
    return judge.examine(
        data or digits.train,
        holdout=digits.holdout,
        test=digits.test.images,
        steps=80,
        seed=seed,
        description="test",
    )


def test_learns_real_digits_and_records_the_way(digits):
    before = torch.get_rng_state()
    found = examine(digits)
    right = (found.predictions == digits.test.labels).double().mean()
    assert right > 0.93
    assert [step for step, _ in found.curve] == [10, 20, 30, 40, 50, 60, 70, 80]
    assert found.curve[-1][1] > 0.93
    assert torch.equal(torch.get_rng_state(), before)


def test_same_seed_same_predictions_other_seed_other_weights(digits):
    first, again, other = examine(digits), examine(digits), examine(digits, seed=1)
    assert torch.equal(first.predictions, again.predictions)
    assert first.curve == again.curve
    assert first.curve != other.curve


def test_shuffled_labels_teach_nothing(digits):
    from synthgen.types import LabelledImages

    order = torch.randperm(len(digits.train), generator=torch.Generator().manual_seed(0))
    wrong = LabelledImages(digits.train.images, digits.train.labels[order], digits.train.classes)
    found = examine(digits, data=wrong)
    assert (found.predictions == digits.test.labels).double().mean() < 0.3
