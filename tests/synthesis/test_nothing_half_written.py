"""Whatever goes wrong, there is either a whole set or nothing."""

import errno
import os

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.samplers import Noise, PCAGaussian, save_sampler
from synthgen.synthesis import Balanced, PerClass, synthesize, writer
from synthgen.types import ImageSpec

ROWS_BEFORE_FAILURE = 300


@pytest.fixture
def out(tmp_path):
    return tmp_path / "sets" / "set"


def failing_after(original, error):
    calls = iter(range(10**9))

    def fail(*arguments):
        if next(calls) >= ROWS_BEFORE_FAILURE:
            raise error
        return original(*arguments)

    return fail


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota is used up")]
)
def test_disk_full(sampler, out, monkeypatch, code, reason):
    error = OSError(code, os.strerror(code))
    monkeypatch.setattr(writer, "_write_new", failing_after(writer._write_new, error))
    with pytest.raises(SynthgenError, match=reason):
        synthesize(sampler, Balanced(200), out)
    assert list(out.parent.iterdir()) == []


def test_interrupted_while_drawing(sampler, out, monkeypatch):
    original = PCAGaussian.draw
    monkeypatch.setattr(writer, "QUEUE", 0)
    calls = iter(range(1000))

    def draw(self, labels, seeds):
        if next(calls) == 12:
            assert any(out.parent.glob(".set.partial-*/*/*.png")), "nothing was written yet"
            raise KeyboardInterrupt
        return original(self, labels, seeds)

    monkeypatch.setattr(PCAGaussian, "draw", draw)
    with pytest.raises(KeyboardInterrupt):
        synthesize(sampler, Balanced(200), out, batch_size=64)
    assert list(out.parent.iterdir()) == []


def test_interrupted_while_waiting_for_the_disk(sampler, out, monkeypatch):
    monkeypatch.setattr(
        "synthgen.synthesis.draw.manifest_lines",
        lambda *arguments, **named: (_ for _ in ()).throw(KeyboardInterrupt),
    )
    with pytest.raises(KeyboardInterrupt):
        synthesize(sampler, Balanced(200), out, batch_size=64)
    assert list(out.parent.iterdir()) == []


def test_no_thread_outlives_a_failure(sampler, out, monkeypatch):
    import threading

    before = threading.active_count()
    monkeypatch.setattr(
        writer, "_write_new", failing_after(writer._write_new, OSError(errno.ENOSPC, ""))
    )
    with pytest.raises(SynthgenError):
        synthesize(sampler, Balanced(200), out)
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


def test_a_folder_that_appears_while_drawing_is_left_alone(sampler, out, monkeypatch):
    original = PCAGaussian.draw

    def draw(self, labels, seeds):
        out.mkdir(exist_ok=True)
        (out / "theirs.txt").write_text("precious")
        return original(self, labels, seeds)

    monkeypatch.setattr(PCAGaussian, "draw", draw)
    with pytest.raises(SynthgenError, match=r"already exists|meanwhile"):
        synthesize(sampler, Balanced(1), out)
    assert [path.name for path in out.iterdir()] == ["theirs.txt"]
    assert [path.name for path in out.parent.iterdir()] == ["set"]


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "a\\b", "", " ", ".", "..", ".hidden", "a\nb", "a\0b", "CON", "nul.txt",
     "LPT1", "x" * 201, "ü" * 101, "end.", "end ", "a:b", "dataset.json", "README.md"],
)  # fmt: skip
def test_an_unsafe_class_name_is_refused_before_anything_is_drawn(name, out, monkeypatch):
    sampler = Noise(ImageSpec(1, 4, 4, ("good", name)))
    folder = save_sampler(sampler, out.parent / "sampler", {})
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
