import json
import random

import numpy as np
import pytest
import torch

from synthgen.data import (
    Digits,
    ImageFolder,
    Records,
    Source,
    image_hashes,
    prepare,
    rebuild,
    write_split,
)
from synthgen.data.assign import assign, connected_units
from synthgen.data.divide import divide, put_in_order
from synthgen.data.splits import read_split
from synthgen.dataset.origin import Recipe
from synthgen.errors import SynthgenError
from synthgen.types import LabelledImages


class InMemory(Source):
    """A source of given records; options as usual."""

    kind = "in_memory"

    def __init__(self, images, labels, split=None, groups=None, classes=None, **options):
        super().__init__(**options)
        classes = classes or tuple(str(i) for i in range(int(labels.max()) + 1))
        count = len(labels)
        records = Records(
            LabelledImages(images, labels, classes),
            tuple(f"file{i}" for i in range(count)),
            tuple(split or [None] * count),
            tuple(groups or [None] * count),
            (),
        )
        object.__setattr__(self, "records", records)

    def read(self):
        return self.records

    def with_options(self, **options):
        copy = object.__new__(InMemory)
        copy.__dict__.update(self.__dict__, **options)
        return copy


def pictures(count, seed=0):
    """uint8 (count, 1, 4, 4), all different."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (count, 1, 4, 4), dtype=np.uint8))


def hashes_of(splits):
    return {part: set(image_hashes(getattr(splits, part).images)) for part in PARTS}


PARTS = ("train", "holdout", "test")


def test_digits_are_divided_70_10_20_in_every_class():
    splits = prepare(Digits())
    total = np.array(splits.train.counts) + splits.holdout.counts + splits.test.counts
    assert total.sum() == 1797
    assert np.abs(np.array(splits.test.counts) - 0.2 * total).max() <= 1
    assert np.abs(np.array(splits.holdout.counts) - 0.1 * total).max() <= 1
    assert splits.name == "digits"


def test_no_image_is_in_two_splits():
    parts = hashes_of(prepare(Digits()))
    assert not parts["train"] & parts["test"]
    assert not parts["train"] & parts["holdout"]
    assert not parts["holdout"] & parts["test"]


def test_the_split_is_random_in_every_class():
    """A split that followed the order of the files would take the first or last of each class."""
    source = Digits()
    records = source.read().images
    splits = prepare(source)
    test = hashes_of(splits)["test"]
    for label in range(10):
        flags = [h in test for h in image_hashes(records.of_class(label).images)]
        thirds = [np.mean(part) for part in np.array_split(flags, 3)]
        assert min(thirds) > 0.05


def test_copies_never_straddle():
    distinct = pictures(30)
    images = distinct.repeat(4, 1, 1, 1)  # each picture four times
    labels = (torch.arange(30) % 2).repeat(4)
    splits = prepare(InMemory(images, labels))
    parts = hashes_of(splits)
    assert all(parts[a].isdisjoint(parts[b]) for a, b in (PARTS[:2], PARTS[1:], PARTS[::2]))
    assert sum(len(getattr(splits, part)) for part in PARTS) == 120
    assert any("90 images are exact copies" in note for note in splits.notes)


def test_one_picture_under_two_classes_is_told_and_stays_together():
    images = pictures(40)
    images[39] = images[0]
    labels = torch.tensor([0] * 20 + [1] * 20)
    splits = prepare(InMemory(images, labels))
    assert any("more than one class" in note for note in splits.notes)
    assert sum(image_hashes(images[:1])[0] in found for found in hashes_of(splits).values()) == 1


def test_groups_stay_together_and_chain_through_copies():
    images = pictures(60)
    images[30] = images[0]  # joins group g0 (image 0) with group g10 (image 30)
    groups = [f"g{i // 3}" for i in range(60)]
    labels = torch.arange(60) % 3
    splits = prepare(InMemory(images, labels, groups=groups))
    where = splits.assignment
    hashes = image_hashes(images)
    for group in range(20):
        assert len({where[hashes[i]] for i in range(group * 3, group * 3 + 3)}) == 1
    assert len({where[hashes[i]] for i in (0, 1, 2, 30, 31, 32)}) == 1
    for part in PARTS:
        assert min(getattr(splits, part).counts) >= 1


def test_large_groups_leave_something_for_every_split():
    sizes = {"a": 50, "b": 30, "c": 20}
    groups = [name for name, size in sizes.items() for _ in range(size)]
    splits = prepare(InMemory(pictures(100), torch.zeros(100, dtype=torch.int64), groups=groups))
    assert sorted(len(getattr(splits, part)) for part in PARTS) == [20, 30, 50]
    assert len(splits.train) == 50


def test_order_of_files_and_of_classes_changes_nothing():
    images, labels = pictures(90), torch.arange(90) % 3
    order = list(range(90))
    random.Random(1).shuffle(order)
    one = prepare(InMemory(images, labels, classes=("a", "b", "c")))
    other = prepare(InMemory(images[order], 2 - labels[order], classes=("c", "b", "a")))
    assert one.digest == other.digest
    assert one.recipe.fingerprint == other.recipe.fingerprint
    assert torch.equal(one.train.images, other.train.images)
    assert torch.equal(one.train.labels, 2 - other.train.labels)


def test_seed_and_contents_decide():
    source = Digits()
    one, other = prepare(source), prepare(source.with_options(split_seed=1))
    assert one.digest != other.digest
    assert one.recipe.fingerprint == other.recipe.fingerprint
    assert prepare(Digits()).digest == one.digest
    images, labels = pictures(40), torch.arange(40) % 2
    changed = images.clone()
    changed[7, 0, 0, 0] ^= 1
    first, second = (prepare(InMemory(pixels, labels)) for pixels in (images, changed))
    assert first.recipe.fingerprint != second.recipe.fingerprint
    assert first.digest != second.digest


def test_the_same_pixels_in_another_shape_are_another_image():
    flat = torch.arange(16, dtype=torch.uint8)
    assert image_hashes(flat.reshape(1, 1, 2, 8)) != image_hashes(flat.reshape(1, 1, 4, 4))


def test_image_hash_is_what_the_docs_say():
    import hashlib

    image = pictures(1)
    assert image_hashes(image) == [hashlib.sha256(b"1,4,4" + image.numpy().tobytes()).hexdigest()]


def test_digest_is_what_the_docs_say():
    import hashlib

    images, labels = pictures(30), torch.arange(30) % 2
    splits = prepare(InMemory(images, labels, classes=("cat", "dog")))
    lines = sorted(
        f"{h} {splits.assignment[h]} {('cat', 'dog')[y]}"
        for h, y in zip(image_hashes(images), labels.tolist(), strict=True)
    )
    assert splits.digest == hashlib.sha256("\n".join(lines).encode()).hexdigest()


def official(train, test, holdout=0):
    return ["train"] * train + ["test"] * test + ["holdout"] * holdout


def test_official_test_set_is_kept_and_holdout_cut_from_train():
    images, labels = pictures(120), torch.arange(120) % 2
    splits = prepare(InMemory(images, labels, split=official(100, 20)))
    assert hashes_of(splits)["test"] == set(image_hashes(images[100:]))
    assert (len(splits.train), len(splits.holdout), len(splits.test)) == (90, 10, 20)


def test_official_holdout_is_kept():
    images, labels = pictures(120), torch.arange(120) % 2
    splits = prepare(InMemory(images, labels, split=official(80, 20, 20)))
    assert hashes_of(splits)["holdout"] == set(image_hashes(images[100:]))
    assert len(splits.train) == 80


def test_test_is_cut_where_only_a_holdout_is_official():
    images, labels = pictures(120), torch.arange(120) % 2
    splits = prepare(InMemory(images, labels, split=official(100, 0, 20)))
    assert (len(splits.train), len(splits.holdout), len(splits.test)) == (80, 20, 20)


def test_training_image_equal_to_a_test_image_is_dropped_and_reported():
    images, labels = pictures(120), torch.arange(120) % 2
    images[4] = images[100]  # same class, in test
    images[6] = images[119]  # other class, in holdout
    splits = prepare(InMemory(images, labels, split=official(90, 20, 10)))
    parts = hashes_of(splits)
    assert len(splits.train) == 88
    assert not parts["train"] & (parts["test"] | parts["holdout"])
    assert splits.assignment[image_hashes(images[4:5])[0]] == "test"
    assert splits.dropped == 2
    assert any("2 images were dropped" in note for note in splits.notes)
    assert not any("file4" in note for note in splits.notes)  # reports publish notes


def test_copies_within_the_official_test_set_are_kept():
    images, labels = pictures(120), torch.arange(120) % 2
    images[101] = images[103]
    splits = prepare(InMemory(images, labels, split=official(100, 20)))
    assert len(splits.test) == 20


def test_small_classes_are_in_every_split():
    labels = torch.tensor([0] * 100 + [1] * 5)
    splits = prepare(InMemory(pictures(105), labels))
    assert (splits.train.counts[1], splits.holdout.counts[1], splits.test.counts[1]) == (3, 1, 1)


def test_class_of_four_is_refused_by_name():
    labels = torch.tensor([0] * 20 + [1] * 4)
    with pytest.raises(SynthgenError, match=r"'rare' \(4\)") as error:
        prepare(InMemory(pictures(24), labels, classes=("common", "rare")))
    assert "Add images" in str(error.value)


def test_five_copies_of_one_picture_are_refused():
    images = torch.cat([pictures(20), pictures(1, seed=9).repeat(5, 1, 1, 1)])
    with pytest.raises(SynthgenError, match="'1' has 1 distinct"):
        prepare(InMemory(images, torch.tensor([0] * 20 + [1] * 5)))


def test_class_missing_from_official_test_is_refused():
    labels = torch.tensor([0, 1] * 50 + [0] * 20)
    with pytest.raises(SynthgenError, match="'1' has no image in test"):
        prepare(InMemory(pictures(120), labels, split=official(100, 20)))


def test_rebuild_takes_the_recipe_and_finds_the_same_split():
    splits = prepare(Digits(split_seed=3, holdout=0.2, size=12, fit="stretch"))
    recipe = Recipe.from_json(json.loads(json.dumps(splits.recipe.to_json())))
    again = rebuild(Digits(), recipe, splits.digest)
    assert again.digest == splits.digest
    assert torch.equal(again.test.images, splits.test.images)
    assert again.recipe == splits.recipe


def test_rebuild_refuses_other_images():
    images, labels = pictures(40), torch.arange(40) % 2
    splits = prepare(InMemory(images, labels))
    with pytest.raises(SynthgenError, match=r"does not hold .* could have been trained on"):
        rebuild(InMemory(images[:-1], labels[:-1]), splits.recipe, splits.digest)


def test_rebuild_refuses_another_digest_and_a_broken_recipe():
    splits = prepare(Digits())
    with pytest.raises(SynthgenError, match="another one"):
        rebuild(Digits(), splits.recipe, "0" * 64)
    whole = splits.recipe.to_json()
    for key in ("fingerprint", "split_seed"):
        with pytest.raises(SynthgenError, match=f"{key} is missing"):
            Recipe.from_json({name: item for name, item in whole.items() if name != key})


def test_recipe_holds_no_image_hash_and_is_plain_json():
    splits = prepare(Digits())
    text = json.dumps(splits.recipe.to_json())
    assert not any(h in text for h in splits.assignment)
    assert Recipe.from_json(json.loads(text)) == splits.recipe


def test_write_split(tmp_path):
    splits = prepare(Digits())
    write_split(splits, tmp_path)
    content = json.loads((tmp_path / "split.json").read_text())
    assert content["digest"] == splits.digest
    assert content["assignment"] == splits.assignment
    assert set(content["assignment"].values()) == set(PARTS)


def test_units_are_chained():
    units = connected_units(["a", "b", "a", "c", "d"], ["x", "x", None, None, None])
    assert sorted(map(sorted, units)) == [[0, 1, 2], [3], [4]]


def test_assign_drops_a_holdout_image_that_is_in_test():
    split = assign(
        ["a", "a", "b"],
        ["0", "0", "0"],
        ["test", "holdout", "train"],
        [None] * 3,
        holdout=0.1,
        test=0.2,
        seed=0,
    )
    assert split == ["test", None, "train"]


@pytest.mark.parametrize(
    "options", [{"holdout": 0.0}, {"test": 1.5}, {"holdout": 0.6, "test": 0.4}, {"fit": "zoom"}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(SynthgenError, match=next(iter(options))):
        Digits(**options)


@pytest.mark.parametrize("size", [0, [8], [8, -1], [8, 8, 8]])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(SynthgenError, match="is not a size"):
        Digits(size=size)


@pytest.mark.parametrize("seen", [2, None, "a", [[1]], {"a": 1}], ids=str)
def test_images_seen_that_are_no_list_of_hashes_are_damage(tmp_path, seen):
    splits = prepare(Digits())
    write_split(splits, tmp_path)
    kept = json.loads((tmp_path / "split.json").read_text())
    del kept["seen"]  # older runs have none
    (tmp_path / "split.json").write_text(json.dumps(kept))
    assert read_split(tmp_path).assignment == splits.assignment
    (tmp_path / "split.json").write_text(json.dumps(kept | {"seen": seen}))
    with pytest.raises(SynthgenError, match="damaged"):
        read_split(tmp_path)


def test_parts_that_share_the_pixels_are_those_that_have_their_own(tmp_path, write_classes):
    source = ImageFolder(root=str(write_classes(tmp_path, {"cat": 30, "dog": 21})), at_most=9)
    apart, shared = divide(source, source.read()), prepare(source)
    for part in ("train", "holdout", "test"):
        one, other = getattr(apart, part), getattr(shared, part)
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
    assert shared.train.images.untyped_storage().data_ptr() == (
        shared.test.images.untyped_storage().data_ptr()
    )
    assert apart.assignment == shared.assignment


def test_rows_are_put_in_order_in_their_place():
    order = np.random.default_rng(0).permutation(500)
    rows = np.arange(1500).reshape(500, 3)
    wanted = rows[order]
    put_in_order(rows, order.tolist())
    assert np.array_equal(rows, wanted)
