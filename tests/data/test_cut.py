import pytest
import torch

from synthgen.data import Digits
from synthgen.data.assign import cut, limits_of
from synthgen.data.divide import prepare, rebuild
from synthgen.dataset.origin import Recipe
from synthgen.errors import SynthgenError
from synthgen.types import LabelledImages

STEPS = [50, 40, 30, 25, 20, 15, 12, 10, 8, 5]


def test_training_images_are_cut_the_holdout_in_proportion_and_the_test_split_never():
    whole, few = prepare(Digits()), prepare(Digits(at_most=STEPS))
    assert few.train.counts == STEPS
    assert few.test.counts == whole.test.counts
    for label, limit in enumerate(STEPS):
        share = limit / whole.train.counts[label]
        assert few.holdout.counts[label] == -(-whole.holdout.counts[label] * share // 1)
    assert few.digest != whole.digest
    assert len(few.assignment) < len(whole.assignment)


def test_a_cut_split_is_rebuilt_from_its_recipe_and_only_from_it():
    few = prepare(Digits(at_most=STEPS))
    again = rebuild(Digits(), few.recipe, few.digest)
    assert torch.equal(again.train.images, few.train.images)
    whole = prepare(Digits())
    with pytest.raises(SynthgenError, match="another one"):
        rebuild(Digits(), whole.recipe.model_copy(update={"at_most": 7}), whole.digest)


def test_recipes_written_before_there_was_a_cut_are_still_understood():
    whole = prepare(Digits())
    older = whole.recipe.to_json()
    del older["at_most"]
    recipe = Recipe.from_json(older)
    assert rebuild(Digits(at_most=5), recipe, whole.digest).digest == whole.digest


def test_names_leave_other_classes_whole_and_numbers_cut_all():
    assert limits_of({"b": 3}, ("a", "b")) == [None, 3]
    assert limits_of(4, ("a", "b")) == [4, 4]
    images = LabelledImages(
        torch.zeros(6, 1, 2, 2, dtype=torch.uint8), torch.tensor([1, 0, 1, 0, 1, 0]), ("a", "b")
    )
    positions = {"train": [5, 4, 3, 2], "holdout": [1, 0], "test": []}
    assert cut(positions, images, [1, None]) == {
        "train": [5, 4, 2],
        "holdout": [1, 0],
        "test": [],
    }


@pytest.mark.parametrize(
    ("at_most", "words"),
    [({"x": 3}, "does not have"), ([1], "has 1 numbers"), (0, "at least 1"), ([1, -2], "at least")],
)
def test_senseless_limits_are_refused(at_most, words):
    with pytest.raises(SynthgenError, match=words):
        limits_of(at_most, ("a", "b"))
