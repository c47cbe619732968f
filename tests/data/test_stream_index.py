"""Where the images of a stream lie, and what is looked at again."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import torch
from streams import members_of, numbers, picture, png, write_shards, write_tar

from synthgen.data import ImageFolder, ImageStream, WebDataset, prepare
from synthgen.data.stream.looked import TarPart
from synthgen.errors import SynthgenError


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards", 200)


def stream(path, tmp_path, **options):
    return ImageStream(path=str(path), cache=str(tmp_path / "cache"), **options)


def every(images, step=7):
    """All of them, a few at a time."""
    parts = [images.images[at : at + step] for at in range(0, len(images), step)]
    return torch.cat(parts)


@pytest.fixture
def looks(monkeypatch):
    """The names of the shards that are looked at."""
    found, look = [], TarPart.look
    monkeypatch.setattr(
        TarPart, "look", lambda part: found.append(part.file.path[-7:]) or look(part)
    )
    return found


def pixels_by_number(splits):
    found = {}
    for name in ("train", "holdout", "test"):
        part = getattr(splits, name)
        images = every(part)
        labels = [part.classes[k] for k in part.labels.tolist()]
        for number, image, label in zip(numbers(images), images, labels, strict=True):
            assert number not in found
            found[number] = (image, label)
    return found


def test_it_holds_the_images_and_classes_that_data_webdataset_does(shards, tmp_path):
    here = pixels_by_number(prepare(stream(shards, tmp_path)))
    there = pixels_by_number(prepare(WebDataset(path=str(shards))))
    assert here.keys() == there.keys() == set(range(200))
    for number, (image, label) in there.items():
        assert torch.equal(here[number][0], image)
        assert here[number][1] == label == f"c{number % 2}"


def test_a_folder_of_class_folders_is_a_stream_too(tmp_path):
    for k in range(60):
        place = tmp_path / "photos" / f"c{k % 2}" / f"{k}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(png(picture(k)))
    here = pixels_by_number(prepare(stream(tmp_path / "photos", tmp_path, holdout=0.2)))
    there = pixels_by_number(prepare(ImageFolder(root=str(tmp_path / "photos"))))
    assert here.keys() == there.keys()
    for number, (image, label) in there.items():
        assert torch.equal(here[number][0], image)
        assert here[number][1] == label


def test_shards_are_looked_at_once(shards, tmp_path, looks):
    first = prepare(stream(shards, tmp_path))
    assert len(looks) == 4
    again = prepare(stream(shards, tmp_path, holdout=0.3))
    assert len(looks) == 4
    assert first.recipe.fingerprint == again.recipe.fingerprint
    assert first.digest != again.digest


def test_what_is_added_moves_nothing_and_is_looked_at_alone(shards, tmp_path, looks):
    before = prepare(stream(shards, tmp_path))
    looks.clear()
    write_tar(shards / "shard-900.tar", members_of(900) | members_of(901))
    after = prepare(stream(shards, tmp_path))
    assert looks == ["900.tar"]
    for part in ("train", "holdout", "test"):
        old, new = (set(numbers(every(getattr(one, part)))) for one in (before, after))
        assert old <= new
        assert new - old <= {900, 901}
    assert after.recipe.images == 202


def test_a_shard_that_changed_is_looked_at_again(shards, tmp_path, looks):
    before = prepare(stream(shards, tmp_path))
    looks.clear()
    changed = {name: one for k in range(50) for name, one in members_of(k + 300).items()}
    write_tar(shards / "shard-000.tar", changed)
    after = prepare(stream(shards, tmp_path))
    assert looks == ["000.tar"]
    assert before.recipe.fingerprint != after.recipe.fingerprint
    assert set(pixels_by_number(after)) == {*range(50, 200), *range(300, 350)}


def test_an_index_that_was_stopped_goes_on(shards, tmp_path, monkeypatch, looks):
    broken = shards / "shard-002.tar"
    sound = broken.read_bytes()
    broken.write_bytes(sound[:5000])
    with pytest.raises(SynthgenError, match=r"shard-002\.tar is damaged"):
        prepare(stream(shards, tmp_path))
    assert looks == ["000.tar", "001.tar", "002.tar"]
    looks.clear()
    broken.write_bytes(sound)
    prepare(stream(shards, tmp_path))
    assert looks == ["002.tar", "003.tar"]


@pytest.mark.slow
def test_several_processes_look_and_find_the_same(shards, tmp_path, monkeypatch):
    alone = prepare(stream(shards, tmp_path))
    monkeypatch.setattr("synthgen.data.stream.index.SEVERAL", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    together = prepare(ImageStream(path=str(shards), cache=str(tmp_path / "other")))
    assert together.digest == alone.digest
    assert np.array_equal(together.train.images.rows, alone.train.images.rows)


def test_the_images_of_an_index_are_about_forty_bytes_each(tmp_path):
    shards = write_shards(tmp_path / "shards", 600, per_shard=300)
    prepare(stream(shards, tmp_path))
    (index,) = (tmp_path / "cache").glob("index-*")
    arrays = [np.load(file, mmap_mode="r") for file in index.glob("*.npy")]
    assert sum(array.nbytes for array in arrays) / 600 < 50
    (split,) = (tmp_path / "cache").glob("split-*")
    train = np.load(split / "train-rows.npy")
    assert train.dtype.itemsize == 16


def test_without_a_cache_the_index_goes_with_the_process(shards, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    from synthgen.data.stream.source import own_cache

    own_cache.cache_clear()
    splits = prepare(ImageStream(path=str(shards)))
    assert splits.train.folder.parent.parent == tmp_path
    assert prepare(ImageStream(path=str(shards))).train.folder == splits.train.folder
    own_cache.cache_clear()


KILLED = """
import os, signal
from synthgen.data.stream.source import own_cache
(own_cache() / "held").write_bytes(b"a real image")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path, monkeypatch):
    from synthgen import private_folders
    from synthgen.data.stream.source import own_cache

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(private_folders, "NEW", -1.0)
    place = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", KILLED], check=False, env=place)
    assert len([*tmp_path.iterdir()]) == 1
    own_cache.cache_clear()
    mine = own_cache()
    assert mine.stat().st_mode & 0o077 == 0
    assert [*tmp_path.iterdir()] == [mine]
    private_folders.remove_abandoned([mine])  # another process's start
    assert mine.is_dir()
    own_cache.cache_clear()
