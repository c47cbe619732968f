"""Which image of a stream goes to which split: by its bytes or its group alone."""

import hashlib
import json

import numpy as np
import pytest
import torch
from streams import members_of, numbers, picture, png, write_shards, write_tar

from synthgen.data import ImageStream, held_in_memory, prepare, rebuild
from synthgen.data.splits import for_choosing, read_split, write_split
from synthgen.errors import SynthgenError


def stream(path, **options):
    return ImageStream(path=str(path), **options)


def of(splits, part):
    images = getattr(splits, part).images
    return set(numbers(torch.cat([images[at : at + 64] for at in range(0, len(images), 64)])))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("many"), 2000, per_shard=500)


@pytest.fixture(scope="module")
def splits(many, tmp_path_factory):
    return prepare(stream(many, cache=str(tmp_path_factory.mktemp("cache"))))


def test_the_shares_are_as_asked_for(splits):
    train, holdout, test = (len(of(splits, part)) for part in ("train", "holdout", "test"))
    assert train + holdout + test == 2000
    assert abs(test - 400) < 5 * (2000 * 0.2 * 0.8) ** 0.5
    assert abs(holdout - 200) < 5 * (2000 * 0.1 * 0.9) ** 0.5


def test_the_order_of_files_and_their_names_do_not_matter(splits, tmp_path):
    every = {}
    for k in reversed(range(2000)):
        every |= {f"x{name}": one for name, one in members_of(k).items()}
    write_tar(tmp_path / "one.tar", every)
    there = prepare(stream(tmp_path / "one.tar"))
    assert there.recipe.fingerprint == splits.recipe.fingerprint
    assert there.digest == splits.digest
    assert torch.equal(there.test.images, splits.test.images)


def test_another_seed_is_another_split(many, splits):
    other = prepare(stream(many, split_seed=1))
    shared = len(of(other, "test") & of(splits, "test"))
    assert 40 < shared < 140  # a fifth of a fifth of 2,000
    assert other.recipe.fingerprint == splits.recipe.fingerprint
    assert other.digest != splits.digest


def test_equal_bytes_share_a_split(tmp_path):
    write_shards(tmp_path, 200)
    for number in range(3):
        copies = {}
        for k in range(200):
            copies |= members_of(1000 * (number + 1) + k, 2, png(picture(k)))
        write_tar(tmp_path / f"copies-{number}.tar", copies)
    splits = prepare(stream(tmp_path))
    parts = [of(splits, part) for part in ("train", "holdout", "test")]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 200
    assert len(splits.train) + len(splits.holdout) + len(splits.test) == 800
    assert any("600 images are exact copies" in note for note in splits.notes)
    assert splits.test_groups is None


def test_groups_share_a_split(tmp_path):
    members = {}
    for k in range(400):
        members |= members_of(k, patient=f"p{k // 8}")
    write_tar(tmp_path / "a.tar", members)
    splits = prepare(stream(tmp_path))
    parts = [{k // 8 for k in of(splits, part)} for part in ("train", "holdout", "test")]
    assert sum(map(len, parts)) == 50
    assert splits.recipe.grouped
    patients = torch.tensor([k // 8 for k in numbers(splits.test.images)])
    same = patients[:, None] == patients
    assert torch.equal(splits.test_groups[:, None] == splits.test_groups, same)
    freely = prepare(stream(tmp_path, group=None))
    parts = [{k // 8 for k in of(freely, part)} for part in ("train", "holdout", "test")]
    assert sum(map(len, parts)) > 50


def test_names_of_shards_tell_splits_and_what_is_tested_on_is_not_trained_on(tmp_path):
    write_shards(tmp_path / "train", 200)
    members = {name: one for k in range(500, 540) for name, one in members_of(k).items()}
    members |= members_of(600, 2, png(picture(0)))  # an image of the training shards
    write_tar(tmp_path / "val-000.tar", members)
    splits = prepare(stream(tmp_path))
    assert splits.recipe.official == ("holdout", "train")
    assert of(splits, "holdout") == {*range(500, 540), 0}
    assert 0 not in of(splits, "train") | of(splits, "test")
    assert of(splits, "train") | of(splits, "test") == set(range(1, 200))
    assert splits.dropped == 1
    assert len(of(splits, "test")) > 20


def test_what_is_held_is_capped_with_the_shares_of_the_classes(many, splits):
    held = prepare(stream(many, most_held=50))
    assert held.test.counts == [25, 25] or sum(held.test.counts) in (49, 50, 51)
    assert of(held, "test") < of(splits, "test")
    assert len(held.train) == len(splits.train)
    sample = held.train.sample
    assert set(numbers(sample.images)) < of(splits, "train")
    assert 48 <= len(sample) <= 52
    assert sample.labels.tolist() == [k % 2 for k in numbers(sample.images)]


def test_at_most_leaves_training_images_out(many, splits):
    few = prepare(stream(many, at_most=[100, 30]))
    assert few.train.counts == [100, 30]
    assert of(few, "train") < of(splits, "train")
    assert of(few, "test") == of(splits, "test")
    assert of(few, "holdout") < of(splits, "holdout")


def test_a_run_says_how_it_was_divided_not_who_was_trained_on(many, splits, tmp_path):
    write_split(splits, tmp_path)
    kept = read_split(tmp_path)
    held = [one for part in (splits.holdout, splits.test) for one in part.images]
    assert len(kept.assignment) == len(held)
    assert set(kept.assignment.values()) == {"holdout", "test"}
    assert kept.files == splits.files
    assert kept.files.keys() == {f"shard-00{k}.tar" for k in range(4)}
    again = rebuild(stream(many, holdout=0.4, most_held=7), kept.recipe, kept.digest, kept.files)
    assert again.digest == splits.digest
    assert torch.equal(again.test.images, splits.test.images)


def test_a_stranger_is_refused_by_name(many, splits, tmp_path):
    for file in many.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    changed = {name: one for k in range(500, 1000) for name, one in members_of(k, 3).items()}
    write_tar(tmp_path / "shard-001.tar", changed)
    with pytest.raises(SynthgenError, match=r"could have been trained on. shard-001.tar is not"):
        rebuild(stream(tmp_path), splits.recipe, splits.digest, splits.files)


def test_evaluation_gets_a_training_split_in_memory(many):
    splits = held_in_memory(prepare(stream(many, most_held=100)))
    train = splits.train
    assert train.images.dtype == torch.uint8
    assert isinstance(train.images, torch.Tensor)
    assert list(splits.assignment.values()).count("train") == len(train)
    assert any("stand for all" in note for note in splits.notes)
    chosen = for_choosing(splits)
    assert len(chosen.train) + len(chosen.holdout) == len(train)
    assert held_in_memory(splits) is splits


def test_the_split_is_the_one_that_the_documentation_states(splits, many):
    """The rule by hand: BLAKE2b of the bytes, salted and scrambled, below the share."""

    def scrambled(x):
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
            x = ((x ^ (x >> shift)) * factor) % 2**64
        return x

    salt = hashlib.blake2b(b"split 0", digest_size=8).digest()
    parts = {part: of(splits, part) for part in ("train", "holdout", "test")}
    for k in range(200):
        digest = hashlib.blake2b(png(picture(k)), digest_size=16).digest()[:8]
        place = scrambled(int.from_bytes(digest, "little") ^ int.from_bytes(salt, "little"))
        share = place / 2**64
        part = "test" if share < 0.2 else "holdout" if share < 0.3 else "train"
        assert k in parts[part], (k, share)


def test_the_recipe_is_json_that_can_be_shared(splits):
    text = json.dumps(splits.recipe.to_json())
    assert "shard-" not in text
    assert len(text) < 2000
    assert np.isfinite(splits.recipe.holdout)
