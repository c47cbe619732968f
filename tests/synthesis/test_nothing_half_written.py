"""Whatever goes wrong, a set is whole, or unfinished and gone on with, or was never there."""

import errno
import os
import threading
import zipfile

import pytest
import torch

from synthgen.dataset import storage
from synthgen.dataset.formats import NPZ
from synthgen.errors import SynthgenError
from synthgen.samplers import Noise, save_sampler
from synthgen.synthesis import Balanced, PerClass, synthesize, verify
from synthgen.types import ImageSpec

FILES_BEFORE_FAILURE = 300
SHARDS = {"shard_size": 64}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "sets" / "set"


def failing_after(count, original, error):
    calls = iter(range(10**9))

    def fail(*arguments):
        if next(calls) >= count:
            raise error
        return original(*arguments)

    return fail


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EIO, "doesn't answer"),
        (errno.ESTALE, "doesn't answer"),
        (errno.ENOENT, "is gone"),
    ],
)
def test_a_disk_that_fills_up_or_goes_away(noise, out, monkeypatch, contents, code, reason):
    """The finished shards stay, and the same call goes on once there is room again."""
    error = OSError(code, os.strerror(code))
    with monkeypatch.context() as patch:
        patch.setattr(
            storage, "write_plain", failing_after(FILES_BEFORE_FAILURE, storage.write_plain, error)
        )
        with pytest.raises(SynthgenError, match=reason):
            synthesize(noise, Balanced(400), out, **SHARDS)
    assert not (out / "dataset.json").exists()
    assert 1 <= len(list((out / ".synthgen" / "shards").iterdir())) < 13
    synthesize(noise, Balanced(400), out, **SHARDS)
    whole = synthesize(noise, Balanced(400), out.parent / "whole", **SHARDS)
    assert contents(out) == contents(whole)


def test_a_full_disk_within_one_file_leaves_no_half_of_it(noise, out, monkeypatch):
    with monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, "")
        patch.setattr(os, "fsync", failing_after(6, os.fsync, full))
        with pytest.raises(SynthgenError, match="disk is full"):
            synthesize(noise, Balanced(400), out, format=NPZ(), **SHARDS)
    records = {path.stem for path in (out / ".synthgen" / "shards").iterdir()}
    assert records <= {path.stem for path in (out / "shards").iterdir()}
    assert all(zipfile.is_zipfile(path) for path in (out / "shards").iterdir())
    assert list(verify(synthesize(noise, Balanced(400), out, format=NPZ(), **SHARDS))) == []


def test_interrupted_before_the_first_shard_leaves_nothing(noise, out, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Noise, "draw", interrupt)
    with pytest.raises(KeyboardInterrupt):
        synthesize(noise, Balanced(200), out)
    assert not out.parent.exists()  # it was made for the set


def test_interrupted_while_drawing_keeps_the_finished_shards(noise, out, monkeypatch, contents):
    with monkeypatch.context() as patch:
        patch.setattr(Noise, "draw", failing_after(5, Noise.draw, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            synthesize(noise, Balanced(400), out, **SHARDS)
    drawn = []
    with monkeypatch.context() as patch:
        original = Noise.draw
        patch.setattr(Noise, "draw", lambda *a: (drawn.append(0), original(*a))[1])
        synthesize(noise, Balanced(400), out, **SHARDS)
    assert 0 < len(drawn) < 13, "finished shards were drawn again"
    whole = synthesize(noise, Balanced(400), out.parent / "whole", **SHARDS)
    assert contents(out) == contents(whole)


def test_no_thread_outlives_a_failure(noise, out, monkeypatch):
    before = threading.active_count()
    monkeypatch.setattr(
        storage, "write_plain", failing_after(100, storage.write_plain, OSError(errno.ENOSPC, ""))
    )
    with pytest.raises(SynthgenError):
        synthesize(noise, Balanced(400), out, **SHARDS)
    assert threading.active_count() == before


def test_read_only_folder(sampler, tmp_path, monkeypatch):
    """Permissions don't stop the superuser, who may run these tests, so the system's answer is
    simulated."""
    folder = tmp_path / "locked"
    folder.mkdir()

    def refuse(self, *arguments, **named):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(SynthgenError, match="read-only"):
        synthesize(sampler, Balanced(1), folder / "set")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_folder_without_permission(sampler, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    with pytest.raises(SynthgenError, match="no permission"):
        synthesize(sampler, Balanced(1), folder / "set")
    assert list(folder.iterdir()) == []


def test_an_existing_set_is_left_alone(sampler, out):
    out.mkdir(parents=True)
    (out / "mine.txt").write_text("precious")
    with pytest.raises(SynthgenError, match="already exists"):
        synthesize(sampler, Balanced(1), out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert (out / "mine.txt").read_text() == "precious"


def test_a_file_that_appears_while_drawing_is_left_alone(noise, out, monkeypatch):
    original = Noise.draw

    def draw(self, labels, seeds):
        if out.is_dir():  # not yet when the sampler is tried as it is loaded
            (out / "theirs.txt").write_text("precious")
        return original(self, labels, seeds)

    monkeypatch.setattr(Noise, "draw", draw)
    synthesize(noise, Balanced(1), out)
    assert (out / "theirs.txt").read_text() == "precious"
    assert list(verify(out)) == ["theirs.txt is extra: the set does not list it."]


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "a\\b", "", " ", ".", "..", ".hidden", "a\nb", "a\0b", "CON", "nul.txt",
     "LPT1", "x" * 201, "ü" * 101, "end.", "end ", "a:b", "dataset.json", "README.md"],
)  # fmt: skip
def test_an_unsafe_class_name_is_refused_before_anything_is_drawn(name, out, monkeypatch):
    sampler = Noise(ImageSpec(1, 4, 4, ("good", name)))
    folder = save_sampler(sampler, out.parent / "sampler", {})
    monkeypatch.setattr("synthgen.samplers.artifact._require_drawing", lambda *_: None)
    monkeypatch.setattr(Noise, "draw", lambda *_: pytest.fail("something was drawn"))
    with pytest.raises(SynthgenError, match="can't be the name of a folder"):
        synthesize(folder, PerClass({"good": 3}), out)
    assert [path.name for path in out.parent.iterdir()] == ["sampler"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
        ({"seed": -1}, "seed must be"),
        ({"shard_size": 0}, "shard_size is 0"),
        ({"shard_size": 1001}, "shard_size is 1001"),
        ({"attempts": 0}, "attempts must be at least 1"),
        ({"shares": {"other": 1}}, "shares names other"),
        ({"temperature": 0.5}, "PCAGaussian has no latents"),
        ({"mode": "augment"}, "none were given"),
        ({"append": True}, "no finished set"),
        ({"device": "tpu"}, "device='tpu' is unknown"),
        pytest.param(
            {"device": "cuda"},
            "finds no GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_wrong_settings_are_one_sentence(sampler, out, settings, message):
    with pytest.raises(SynthgenError, match=message):
        synthesize(sampler, Balanced(1), out, **settings)
    assert not out.parent.exists()


def test_a_missing_sampler_is_one_sentence(tmp_path, out):
    with pytest.raises(SynthgenError, match="There is no sampler in"):
        synthesize(tmp_path, Balanced(1), out)
