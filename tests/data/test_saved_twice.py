"""One picture saved twice is found; two pictures that only look alike are not."""

import io
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from synthgen.data import Digits, image_hashes, prepare, rebuild
from synthgen.data.divide import divide
from synthgen.data.near_duplicates import (
    FIRST_RULE,
    RULE,
    distances,
    halved,
    near_duplicate_keys,
)
from synthgen.dataset.origin import Recipe
from synthgen.errors import SynthgenError
from synthgen.types import LabelledImages


def as_jpeg(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def brighter(pixels, factor):
    return np.clip(np.rint(pixels * factor), 0, 255).astype(np.uint8)


def resized(pixels, side):
    there = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(there.resize(pixels.shape[::-1], Image.Resampling.BICUBIC))


SAVED_AGAIN = {
    "jpeg 95": partial(as_jpeg, quality=95),
    "jpeg 75": partial(as_jpeg, quality=75),
    "brighter": partial(brighter, factor=1.1),
    "darker": partial(brighter, factor=0.9),
    "a little smaller": partial(resized, side=29),
    "a little larger": partial(resized, side=36),
}


@pytest.fixture(scope="module")
def records():
    """300 digits at 32 x 32, all different."""
    read = Digits(size=32).read()
    order = torch.arange(0, 1797, 6)
    count = len(order)
    return replace(
        read,
        images=read.images.subset(order),
        files=tuple(f"{i}.png" for i in range(count)),
        split=(None,) * count,
        groups=(None,) * count,
    )


def with_twins(records, save, split=(None, None)):
    """``records`` and each of its images again."""
    images, count = records.images, len(records.files)
    again = np.stack([save(picture) for picture in images.images[:, 0].numpy()])
    pixels = torch.cat([images.images, torch.from_numpy(again)[:, None]])
    both = LabelledImages(pixels, images.labels.repeat(2), images.classes)
    names = (*records.files, *(f"{name}.again" for name in records.files))
    first, second = split
    return replace(
        records,
        images=both,
        files=names,
        split=(first,) * count + (second,) * count,
        groups=(None,) * 2 * count,
    )


def keys_of(records):
    images = records.images
    names = [images.classes[label] for label in images.labels.tolist()]
    return near_duplicate_keys(images.images, names, image_hashes(images.images))


@pytest.mark.parametrize("how", SAVED_AGAIN)
def test_a_picture_saved_again_is_found(records, how):
    twice = with_twins(records, SAVED_AGAIN[how])
    hashes, keys = image_hashes(twice.images.images), keys_of(twice)
    count = len(records.files)
    pairs = [
        hashes[i] == hashes[i + count] or (keys[i] is not None and keys[i] == keys[i + count])
        for i in range(count)
    ]
    assert np.mean(pairs) >= 0.97
    assert len({key for key in keys if key}) >= 0.97 * len([key for key in keys if key]) / 2


@pytest.mark.parametrize("size", [8, 32])
def test_different_digits_are_not(size):
    assert set(keys_of(Digits(size=size).read())) == {None}


def test_pictures_of_one_fixed_scene_are_not_one_picture():
    """The same part before the same camera: whole, or with another scratch each time."""
    random = np.random.default_rng(0)
    scene = random.integers(60, 200, (8, 8)).repeat(4, 0).repeat(4, 1)
    pictures = []
    for number in range(120):
        picture = scene + random.normal(0, 2, scene.shape)
        if number >= 30:
            row, column = divmod(number - 30, 10)
            picture[3 * row : 3 * row + 3, 3 * column : 3 * column + 3] = 255
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    pixels = torch.from_numpy(np.stack(pictures))[:, None]
    names = ["whole"] * 30 + ["scratched"] * 90
    first = np.array([[0, 1]])
    assert distances(pixels.numpy(), first)[0] < 0.1  # near enough in other classes
    assert near_duplicate_keys(pixels, names, image_hashes(pixels)) == (None,) * 120


def mixed(records, save):
    """``records``, and every third picture again."""
    twice, count = with_twins(records, save), len(records.files)
    some = torch.cat([torch.arange(count), torch.arange(count, 2 * count, 3)])
    return replace(
        twice,
        images=twice.images.subset(some),
        files=tuple(twice.files[i] for i in some),
        split=(None,) * len(some),
        groups=(None,) * len(some),
    )


def noisy(pixels):
    """0.16 to 0.18 away, in 2 x 2 means 0.08 to 0.1: FIRST_RULE calls it another picture."""
    random = np.random.default_rng(int(pixels.sum()))
    noise = random.normal(0, 0.2 * pixels.std(), pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def test_where_the_set_is_sparse_more_counts_as_saved_again(records):
    twice = mixed(records, noisy)
    hashes = image_hashes(twice.images.images)
    names = ["0"] * len(hashes)
    count = len(records.files)

    def found(rule):
        keys = near_duplicate_keys(twice.images.images, names, hashes, rule)
        pairs = [(3 * i, count + i) for i in range(len(hashes) - count)]
        together = [keys[a] is not None and keys[a] == keys[b] for a, b in pairs]
        return np.mean(together), sum(key is not None for key in keys) - 2 * sum(together)

    share, others = found(RULE)
    assert share >= 0.65
    assert others == 0
    assert found(FIRST_RULE)[0] == 0


def test_where_the_set_is_dense_it_does_not(records):
    """The same pairs, but each picture has neighbours as near as a resized copy is."""
    twice = mixed(records, noisy)
    pixels = twice.images.images[:, 0].numpy()
    between = [np.rint(pixels[0] + share * (pixels[1] - 1.0 * pixels[0])) for share in (0.3, 0.35)]
    crowd = torch.from_numpy(np.stack(between).astype(np.uint8))[:, None]
    images = torch.cat([twice.images.images, crowd])
    hashes = image_hashes(images)
    keys = near_duplicate_keys(images, ["0"] * len(hashes), hashes)
    assert keys[0] is None
    assert keys[3] is not None


def test_a_split_of_the_first_rule_is_rebuilt(records, monkeypatch):
    twice = mixed(records, noisy)
    monkeypatch.setattr(Digits, "read", lambda self: twice)
    old, new = divide(Digits(), twice, rule=FIRST_RULE), prepare(Digits())
    assert old.digest != new.digest
    assert rebuild(Digits(), old.recipe, old.digest).digest == old.digest
    assert rebuild(Digits(), new.recipe, new.digest).digest == new.digest
    with pytest.raises(SynthgenError, match="is another one"):
        rebuild(Digits(), old.recipe, "0" * 64)


def test_the_order_of_the_images_changes_nothing(records):
    twice = with_twins(records, SAVED_AGAIN["jpeg 75"])
    order = torch.from_numpy(np.random.default_rng(1).permutation(len(twice.files)))
    shuffled = replace(twice, images=twice.images.subset(order))
    before = keys_of(twice)
    assert keys_of(shuffled) == tuple(before[i] for i in order)


def test_distance_is_what_the_docs_say():
    x = np.random.default_rng(0).integers(0, 200, (2, 3, 6, 6)).astype(np.uint8)
    first, second = ((one - one.mean()) / one.std() for one in x.astype(float))
    expected = np.sqrt(((first - second) ** 2).mean())
    pair = np.array([[0, 1]])
    assert distances(x, pair)[0] == pytest.approx(expected)
    assert distances(np.stack([x[0], 1 + x[0]]), pair)[0] == pytest.approx(0, abs=1e-7)
    assert halved(x)[1, 2, 0, 1] == x[1, 2, :2, 2:4].sum()


def astride(splits, records):
    """How many pictures lie in a split that their second copy isn't in."""
    where = [splits.assignment.get(one) for one in image_hashes(records.images.images)]
    half = len(where) // 2
    return sum(a != b for a, b in zip(where[:half], where[half:], strict=True))


def test_both_lie_in_one_split_unless_told_otherwise(records):
    twice = with_twins(records, SAVED_AGAIN["jpeg 75"])
    together, warned, ignored = (
        divide(Digits(near_duplicates=how), twice) for how in ("group", "warn", "ignore")
    )
    assert astride(together, twice) == 0
    assert astride(warned, twice) > 80
    assert warned.digest == ignored.digest != together.digest
    assert "600 images show only 300 different pictures" in " ".join(together.notes)
    assert f"of these pictures {astride(warned, twice)} lie in several" in " ".join(warned.notes)
    assert not any("picture" in note for note in ignored.notes)
    sizes = together.test_groups.unique(return_counts=True)[1]
    assert set(sizes.tolist()) == {2}  # an interval counts both as one


def test_an_official_test_set_stays_and_its_twins_leave_the_training(records):
    twice = with_twins(records, SAVED_AGAIN["jpeg 75"], split=("train", "test"))
    some = torch.cat([torch.arange(300), torch.arange(300, 600, 5)])
    twice = replace(
        twice,
        images=twice.images.subset(some),
        files=tuple(twice.files[i] for i in some),
        split=tuple(twice.split[i] for i in some),
        groups=(None,) * len(some),
    )
    splits = divide(Digits(), twice)
    assert len(splits.test) == 60
    assert splits.dropped == 60
    assert any("60 images were dropped from training" in note for note in splits.notes)


def test_a_set_without_any_is_divided_as_ever():
    """The digest that every split of the digits has had since the first release."""
    for how in ("group", "warn", "ignore"):
        assert prepare(Digits(near_duplicates=how)).digest == DIGEST


DIGEST = "701038e3eeffdb6fc3b4fe0ce24a73a79c879f7fff97aec55cf33e57f6f37051"


def test_a_recipe_from_before_there_was_a_choice_gives_the_same_split(records, monkeypatch):
    twice = with_twins(records, SAVED_AGAIN["jpeg 75"])
    monkeypatch.setattr(Digits, "read", lambda self: twice)
    old = prepare(Digits(near_duplicates="ignore"))
    older = old.recipe.to_json()
    del older["near_duplicates"]
    recipe = Recipe.from_json(older)
    assert rebuild(Digits(), recipe, old.digest).digest == old.digest
    new = prepare(Digits())
    assert rebuild(Digits(near_duplicates="ignore"), new.recipe, new.digest).digest == new.digest


def test_a_class_that_is_one_picture_saved_often_says_why_it_is_refused(records):
    picture = records.images.images[0, 0].numpy()
    many = [as_jpeg(picture, quality) for quality in range(80, 95, 2)]
    images = records.images
    zero = images.labels == 0
    pixels = torch.cat([images.images[~zero], torch.from_numpy(np.stack(many))[:, None]])
    labels = torch.cat([images.labels[~zero], torch.zeros(len(many), dtype=torch.int64)])
    count = len(labels)
    few = replace(
        records,
        images=LabelledImages(pixels, labels, images.classes),
        files=("x",) * count,
        split=(None,) * count,
        groups=(None,) * count,
    )
    with pytest.raises(SynthgenError, match=r"(?s)Near duplicates.*near_duplicates=warn"):
        divide(Digits(), few)
    assert len(divide(Digits(near_duplicates="warn"), few).train)


def test_an_unknown_wish_is_refused():
    with pytest.raises(SynthgenError, match=r"data.near_duplicates=merge is unknown"):
        Digits(near_duplicates="merge")
