import pytest
import torch

from synthgen.evaluation.classifiers.trainer import batches, shuffled_batches, weighted_batches
from synthgen.seeds import step_generator


def test_every_image_is_seen_equally_often():
    drawn = shuffled_batches(10, 8, step_generator(0))
    seen = torch.bincount(torch.cat([next(drawn) for _ in range(6)]), minlength=10)
    assert seen.sum() == 48
    assert seen.max() - seen.min() <= 1


def test_batches_are_full_even_from_fewer_images():
    assert next(shuffled_batches(3, 8, step_generator(0))).shape == (8,)


def test_images_are_drawn_in_proportion_to_their_weights():
    weights = torch.tensor([0.0, 1.0, 3.0, 0.0])
    drawn = weighted_batches(weights, 5000, step_generator(0))
    seen = torch.bincount(torch.cat([next(drawn), next(drawn)]), minlength=4) / 10_000
    torch.testing.assert_close(seen, torch.tensor([0.0, 0.25, 0.75, 0.0]), atol=0.02, rtol=0)
    assert seen[0] == seen[3] == 0


def test_weights_choose_between_the_two_kinds_of_batches():
    passes = next(batches(6, 6, None, step_generator(0)))
    assert passes.sort().values.tolist() == [0, 1, 2, 3, 4, 5]
    one = next(batches(6, 6, torch.eye(6)[2], step_generator(0)))
    assert one.tolist() == [2] * 6


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0], [1.0, float("nan")]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ValueError, match="sampling weights"):
        next(weighted_batches(torch.tensor(weights), 4, step_generator(0)))
