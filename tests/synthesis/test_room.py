"""An order that the disk can't hold is refused before its first image."""

import math
import os

import pytest

from synthgen.dataset.formats import NPZ
from synthgen.errors import SynthgenError
from synthgen.synthesis import Balanced, PerClass, room, synthesize
from synthgen.synthesis.room import Room

SHARDS = {"shard_size": 64}


@pytest.fixture
def disk(monkeypatch):
    """A disk of which so much is left."""

    def left(bytes=math.inf, files=math.inf):
        monkeypatch.setattr(room, "free", lambda folder: Room(bytes, files))

    return left


def test_two_hundred_million_images_are_refused(noise, tmp_path, disk):
    disk(bytes=57e9)
    with pytest.raises(SynthgenError, match=r"would take about .* GB, and the disk of .* 57\.0 GB"):
        synthesize(noise, Balanced(100_000_000), tmp_path / "sets" / "set")
    assert not (tmp_path / "sets").exists()


@pytest.mark.skipif(not hasattr(os, "statvfs"), reason="POSIX's")
def test_the_real_disk_is_asked(tmp_path, monkeypatch):
    now = os.statvfs(tmp_path)
    left = room.free(tmp_path)
    assert left.bytes == pytest.approx(now.f_bavail * now.f_frsize, rel=0.2)  # others write too
    fields = [*now]
    for files, free, said in ((0, 0, math.inf), (1000, 7, 7)):
        fields[5], fields[7] = files, free
        found = os.statvfs_result(fields)
        with monkeypatch.context() as patch:
            patch.setattr(os, "statvfs", lambda path, found=found: found)
            assert room.free(tmp_path).files == said


def test_more_files_than_the_disk_takes(noise, tmp_path, disk):
    disk(files=500)
    with pytest.raises(SynthgenError, match=r"would be 1,2\d\d files, .* takes 500 more.\n.*npz"):
        synthesize(noise, Balanced(600), tmp_path / "set", **SHARDS)
    assert not (tmp_path / "set").exists()
    synthesize(noise, Balanced(600), tmp_path / "set", format=NPZ(), **SHARDS)


def test_what_is_told_is_what_is_needed(sampler, tmp_path, disk, form):
    """A disk with 1.25 times the place that a set needed takes it, one with 0.8 times doesn't."""
    disk()
    written = synthesize(sampler, Balanced(30), tmp_path / "set", format=form)
    block = 1 if form.in_shards else room.block_size(tmp_path)
    lists = (written / "manifest.jsonl").stat().st_size * 2
    sizes = [path.stat().st_size for path in written.rglob("*") if path.is_file()]
    needed = sum(-(-size // block) * block for size in sizes) + lists / 2
    disk(bytes=0.8 * needed)
    with pytest.raises(SynthgenError, match="would take about"):
        synthesize(sampler, Balanced(30), tmp_path / "other", format=form)
    disk(bytes=1.25 * needed)
    synthesize(sampler, Balanced(30), tmp_path / "other", format=form)


def test_only_what_is_missing_needs_room(noise, tmp_path, disk, monkeypatch):
    def interrupted(job, request):
        raise KeyboardInterrupt

    out, plan = tmp_path / "set", PerClass({"cat": 640, "dog": 0})
    with monkeypatch.context() as patch:
        patch.setattr("synthgen.synthesis.engine.await_shards", interrupted)
        with pytest.raises(KeyboardInterrupt):
            synthesize(noise, plan, out, **SHARDS)
    disk(bytes=0, files=0)
    assert synthesize(noise, plan, out, **SHARDS) == out  # every shard is there
    with pytest.raises(SynthgenError, match="would take about"):
        synthesize(noise, PerClass({"cat": 64, "dog": 0}), tmp_path / "other", **SHARDS)


def test_a_small_set_on_a_large_disk_is_not_drawn_twice(noise, tmp_path, disk, monkeypatch):
    def drawn(*arguments):
        raise AssertionError("a preview was drawn")

    monkeypatch.setattr(room, "draw_rows", drawn)
    disk(bytes=20e6)
    synthesize(noise, Balanced(600), tmp_path / "set")
