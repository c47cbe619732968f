import itertools

import pytest
import torch

from synthgen.evaluation.trial.arms import (
    OPTIONAL,
    FixedFolder,
    Ingredients,
    closing_arms,
    family_of,
    inverse_frequency,
    opening_arms,
)
from synthgen.types import LabelledImages


def unlike(counts, first):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    pixels = (torch.arange(len(labels)) + first).to(torch.uint8).reshape(-1, 1, 1, 1)
    return LabelledImages(pixels, labels, ("a", "b"))


@pytest.fixture
def given():
    return Ingredients(
        real=unlike([20, 10], 0),
        synthetic=FixedFolder(unlike([60, 60], 100), seed=1),
        n_synthetic_only=40,
        augmentations={"light": lambda images, _: images, "strong": lambda images, _: images},
        baseline=("pca_gaussian", FixedFolder(unlike([60, 60], 100), seed=2)),
        seed=3,
    )


def test_what_each_opening_arm_learns(given):
    arms = {arm.name: arm for arm in opening_arms(given, [0.5, 2], [0.5, 0.25])}
    assert list(arms) == [
        "real_only",
        "oversampling",
        "class_weights",
        "mixup",
        "augmentation_light",
        "augmentation_strong",
        "synthetic_only",
        "real_and_synthetic_0.5",
        "real_and_synthetic_2",
        "real_share_0.5",
        "real_share_0.25",
    ]
    real = given.real
    for name, arm in arms.items():
        recipe = arm.recipe(1)
        n_real = int((recipe.data.images < 100).sum())
        assert (n_real, len(recipe.data) - n_real) == (arm.n_real, arm.n_synthetic), name
    for name in ("real_only", "oversampling", "class_weights", "mixup", "augmentation_light"):
        assert torch.equal(arms[name].recipe(0).data.images, real.images)
    assert {name for name, arm in arms.items() if arm.kind == "cheap"} == {
        "oversampling",
        "class_weights",
        "mixup",
        "augmentation_light",
        "augmentation_strong",
    }
    assert arms["augmentation_light"].recipe(0).augment is given.augmentations["light"]
    assert arms["mixup"].recipe(0).mixup > 0
    assert arms["real_and_synthetic_2"].ratio == 2


def test_weights_make_the_classes_count_alike(given):
    arms = {arm.name: arm for arm in opening_arms(given, [1], [])}
    weights = arms["oversampling"].recipe(0).sampling_weights
    labels = given.real.labels
    assert float(weights[labels == 0].sum()) == pytest.approx(float(weights[labels == 1].sum()))
    assert arms["class_weights"].recipe(0).class_weights.tolist() == [0.75, 1.5]
    assert inverse_frequency(given.real.of_class(0)).tolist() == [0.5, 0.0]


def test_arms_of_one_repetition_learn_from_nested_sets(given):
    arms = {arm.name: arm for arm in opening_arms(given, [0.5, 1, 2], [0.2, 0.5, 0.8])}

    def ids(name, repetition):
        return set(arms[name].recipe(repetition).data.images.flatten().tolist())

    for family in (
        ["real_and_synthetic_0.5", "real_and_synthetic_1", "real_and_synthetic_2"],
        ["real_share_0.2", "real_share_0.5", "real_share_0.8", "real_only"],
    ):
        for smaller, larger in itertools.pairwise(family):
            assert ids(smaller, 0) < ids(larger, 0)
    assert ids("real_share_0.2", 0) != ids("real_share_0.2", 1)
    assert ids("real_and_synthetic_0.5", 0) != ids("real_and_synthetic_0.5", 1)


def test_what_each_closing_arm_learns(given):
    arms = {arm.name: arm for arm in closing_arms(given, 0.5, "strong")}
    assert list(arms) == [
        "pretrained_on_synthetic",
        "augmentation_and_synthetic",
        "baseline_only",
        "real_and_baseline",
    ]
    pretrained = arms["pretrained_on_synthetic"].recipe(0)
    both = {arm.name: arm for arm in opening_arms(given, [0.5], [])}["real_and_synthetic_0.5"]
    assert torch.equal(pretrained.data.images, given.real.images)
    assert torch.equal(pretrained.pretrain.images, both.recipe(0).data.images[30:])
    combined = arms["augmentation_and_synthetic"].recipe(0)
    assert combined.augment is given.augmentations["strong"]
    assert torch.equal(combined.data.images, both.recipe(0).data.images)
    assert arms["real_and_baseline"].kind == "cheap"
    assert (arms["real_and_baseline"].n_real, arms["real_and_baseline"].n_synthetic) == (30, 15)
    assert len(arms["baseline_only"].recipe(0).data) == 40


def test_without_augmentation_or_baseline_their_arms_are_not_made(given):
    bare = Ingredients(given.real, given.synthetic, 40, {}, None, 3)
    assert [arm.name for arm in closing_arms(bare, 1, None)] == ["pretrained_on_synthetic"]
    assert not any("augmentation" in arm.name for arm in opening_arms(bare, [1], []))


def test_families_by_name():
    assert family_of("augmentation_strong") == "augmentation"
    assert family_of("augmentation_and_synthetic") == "augmentation_and_synthetic"
    assert family_of("real_only") is family_of("real_and_synthetic_0.5") is None
    assert all(family_of(name) == name for name in OPTIONAL)
