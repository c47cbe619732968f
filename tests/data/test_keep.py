"""``data.cache``: the same splits without reading a file, until one changes."""

import os
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from PIL import Image

from synthgen.data import ImageFolder, check, prepare, rebuild
from synthgen.data.keep import entries, kept_splits, place_of
from synthgen.data.splits import Splits
from synthgen.types import LabelledImages


@pytest.fixture
def source(tmp_path, write_classes):
    root = write_classes(tmp_path / "photos", {"cat": 12, "dog": 9})
    return ImageFolder(root=str(root), cache=str(tmp_path / "kept"))


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype
    if isinstance(one, Splits | LabelledImages):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return one == other


def no_reading(monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError("files were read")

    monkeypatch.setattr("synthgen.data.files.scan_files", fail)


@pytest.mark.parametrize(
    "options", [{}, {"bits": 16, "view": [0]}, {"at_most": 4}, {"range": [0, 900]}]
)
def test_the_second_start_reads_no_image_and_gives_the_same(source, monkeypatch, options):
    source = replace(source, **options)
    first = prepare(source)
    again = rebuild(source, first.recipe, first.digest)
    no_reading(monkeypatch)
    second = prepare(source)
    for field in fields(Splits):
        assert same(getattr(first, field.name), getattr(second, field.name)), field.name
    assert same(rebuild(source, first.recipe, first.digest), again)


def test_training_starts_from_what_the_check_kept(source, monkeypatch):
    assert check(source).usable
    no_reading(monkeypatch)
    assert len(prepare(source).train) > 5


@pytest.mark.parametrize("change", ["content", "time", "new", "gone", "renamed", "setting"])
def test_any_change_reads_anew(source, tmp_path, change):
    prepare(source)
    assert kept_splits(place_of(source)) is not None
    one = next((tmp_path / "photos" / "cat").iterdir())
    if change == "content":
        about = one.stat()
        Image.fromarray(np.full((8, 8), 77, np.uint8)).save(one)
        os.utime(one, ns=(about.st_atime_ns, about.st_mtime_ns))
    elif change == "time":
        os.utime(one, ns=(0, one.stat().st_mtime_ns + 1))
    elif change == "new":
        Image.fromarray(np.full((8, 8), 77, np.uint8)).save(one.with_name("new.png"))
    elif change == "gone":
        one.unlink()
    elif change == "renamed":
        one.rename(one.with_name("zz.png"))
    else:
        source = replace(source, holdout=0.2)
    assert kept_splits(place_of(source)) is None


def test_damage_is_told_and_read_anew(source, tmp_path, caplog):
    before = prepare(source)
    (kept,) = (tmp_path / "kept").iterdir()
    file = kept / "images.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    assert same(prepare(source), before)
    assert "is damaged" in caplog.text
    assert kept_splits(place_of(source)) is not None


def test_a_folder_that_cannot_be_written_costs_a_warning(source, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert len(prepare(replace(source, cache=str(tmp_path / "file"))).train) > 5
    assert "were not kept" in caplog.text


def test_nothing_is_kept_unasked(source, tmp_path):
    prepare(replace(source, cache=None))
    assert not (tmp_path / "kept").exists()


def test_a_folder_linked_to_its_parent_is_walked_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"1")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert [name for name, *_ in entries(tmp_path)] == ["a", "a/x.png"]


def test_what_changes_while_it_is_read_is_not_kept_as_read(source, tmp_path, monkeypatch):
    one = next((tmp_path / "photos" / "cat").iterdir())
    whole = ImageFolder.read

    def changed_meanwhile(self):
        records = whole(self)
        os.utime(one, ns=(0, one.stat().st_mtime_ns + 1))
        return records

    monkeypatch.setattr(ImageFolder, "read", changed_meanwhile)
    prepare(source)
    assert kept_splits(place_of(source)) is None
