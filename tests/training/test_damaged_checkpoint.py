"""Saved states: damage is seen, the state before takes over, and nothing in them runs."""

import errno
import os
import pickle
import random
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from synthgen import load_sampler
from synthgen.errors import SynthgenError
from synthgen.training.state import is_whole, newest_state, read_state, write_state

TRAIN = (
    "train", "model=vae", "model.density=null", "data.size=8", "model.batch_size=16",
    "trainer.previews=0", "logger=csv",
)  # fmt: skip


def flip(path, place=None):
    """Change one bit of the byte at ``place`` (default: in the middle)."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1
    path.write_bytes(content)


@pytest.fixture
def saved(tmp_path):
    """Two states, the older one as ``previous.ckpt``."""
    for number in (1, 2):
        write_state({"number": number, "w": torch.full((50,), number)}, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


@pytest.fixture
def stopped(synthgen):
    """A run that has two states, of 16 and of 32 images, and was then lost."""
    done = synthgen(*TRAIN, "max_images=32", "trainer.checkpoint_minutes=0", "out=run")
    assert done.code == 0, done.err
    run = Path("run")
    shutil.rmtree(run / "sampler")
    (run / "training.json").unlink()
    return run


def test_what_was_saved_is_read_again_and_the_one_before_kept(saved):
    assert read_state(saved)["number"] == 2
    assert read_state(saved.with_name("previous.ckpt"))["number"] == 1
    assert torch.load(saved, weights_only=True)["w"].sum() == 100  # torch can still read it
    assert {path.name for path in saved.parent.iterdir()} == {"last.ckpt", "previous.ckpt"}


def test_every_changed_byte_is_seen(saved):
    content, places = saved.read_bytes(), random.Random(0)
    for place in [0, len(content) - 1, *places.sample(range(len(content)), 60)]:
        flip(saved, place)
        assert not is_whole(saved), place
        saved.write_bytes(content)
    assert is_whole(saved)


def test_a_state_cut_short_or_missing_gives_way_to_the_one_before(saved, caplog):
    good = saved.with_name("previous.ckpt")
    saved.write_bytes(saved.read_bytes()[:-1])
    assert newest_state(saved.parent) == good
    assert "last.ckpt is damaged" in caplog.text
    assert {path.name for path in saved.parent.iterdir()} == {"previous.ckpt", "damaged.ckpt"}
    write_state({"number": 3}, saved)
    assert newest_state(saved.parent) == saved
    assert is_whole(good)
    saved.unlink()
    assert newest_state(saved.parent) == good
    assert newest_state(saved.parent / "nothing") is None


def test_a_state_of_an_earlier_synthgen_is_checked_by_its_own_crc(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"w": torch.arange(1000.0)}, path)
    assert newest_state(tmp_path) == path
    with zipfile.ZipFile(path) as archive:
        name = next(one for one in archive.namelist() if one.endswith("data/0"))
        place = archive.getinfo(name).header_offset + 2000
    flip(path, place)
    assert not is_whole(path)


class Harmless:
    """What a stranger's file would hold: something that is called when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("it-ran"),))


def test_nothing_but_tensors_and_plain_values_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_state({"state_dict": Harmless()}, tmp_path / "last.ckpt")  # with a right SHA-256
    with pytest.raises(SynthgenError, match="tensors and plain values"):
        read_state(tmp_path / "last.ckpt")
    (tmp_path / "last.ckpt").write_bytes(pickle.dumps(Harmless()))
    with pytest.raises(SynthgenError, match="damaged"):
        read_state(tmp_path / "last.ckpt")
    assert not Path("it-ran").exists()


def test_a_full_disk_keeps_both_states_and_names_the_place(saved, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {path.name: path.read_bytes() for path in saved.parent.iterdir()}
    monkeypatch.setattr("synthgen.io.os.fsync", full)
    with pytest.raises(SynthgenError, match=r"last\.ckpt: the disk is full"):
        write_state({"number": 3}, saved)
    assert {path.name: path.read_bytes() for path in saved.parent.iterdir()} == before


def test_a_run_with_a_damaged_state_ends_as_if_it_had_not_been(synthgen, stopped):
    previous = stopped / "checkpoints" / "previous.ckpt"
    assert int(read_state(previous)["state_dict"]["clock._images"]) == 16
    expected = read_state(stopped / "checkpoints" / "last.ckpt")["state_dict"]
    flip(stopped / "checkpoints" / "last.ckpt")
    resumed = synthgen("train", "resume=run")
    assert resumed.code == 0, resumed.err
    assert "last.ckpt is damaged" in resumed.err
    found = read_state(stopped / "checkpoints" / "last.ckpt")["state_dict"]
    del found["clock._seconds"]
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    assert (stopped / "sampler").is_dir()


def test_a_run_whose_states_are_all_damaged_is_refused(synthgen, stopped):
    for name in ("last.ckpt", "previous.ckpt"):
        flip(stopped / "checkpoints" / name)
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    resumed = synthgen("train", "resume=run")
    assert resumed.code == 2
    assert "last.ckpt is damaged" in resumed.err
    assert "Traceback" not in resumed.err
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before


def test_a_damaged_state_is_nothing_to_start_from(synthgen, tmp_path):
    done = synthgen(*TRAIN, "max_images=16", "out=run")
    assert done.code == 0, done.err
    flip(Path("run/checkpoints/last.ckpt"))
    begun = synthgen(*TRAIN, "max_images=16", "start=run", "out=new")
    assert begun.code == 2
    assert "last.ckpt is damaged" in begun.err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_killed_before_its_first_state_begins_again(synthgen, stopped):
    shutil.rmtree(stopped / "checkpoints")
    resumed = synthgen("train", "resume=run")
    assert resumed.code == 0, resumed.err
    assert "it begins again" in resumed.err
    whole = synthgen(*TRAIN, "max_images=32", "out=whole")
    assert whole.code == 0, whole.err
    expected, found = load_sampler("whole").state_dict(), load_sampler("run").state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("pytorch-lightning_version"),
        lambda state: state.update({"pytorch-lightning_version": "x"}),
        lambda state: state["optimizer_states"][0].update(param_groups=-1),
        lambda state: state["optimizer_states"][0]["state"][1].pop("step"),
        lambda state: state["optimizer_states"][0]["state"][1].pop("exp_avg"),
        lambda state: state["optimizer_states"][0]["state"][1].update(exp_avg_sq=[[1]]),
        lambda state: state["optimizer_states"][0]["state"][1].update(exp_avg=torch.zeros(3)),
        lambda state: state.update(loops=[]),
    ],
    ids=[
        "no version",
        "version",
        "groups",
        "no step",
        "no mean",
        "a list",
        "another shape",
        "loops",
    ],
)
def test_a_state_that_was_not_written_by_this_run_is_refused(synthgen, stopped, change):
    """Its SHA-256 is right, what it holds is not."""
    path = stopped / "checkpoints" / "last.ckpt"
    state = read_state(path)
    change(state)
    write_state(state, path)
    before = {one: one.read_bytes() for one in stopped.rglob("*") if one.is_file()}
    resumed = synthgen("train", "resume=run", "max_images=64")
    assert resumed.code == 2, resumed.err
    assert "is no state of this run" in resumed.err
    assert "Traceback" not in resumed.err
    after = {one: one.read_bytes() for one in stopped.rglob("*") if one.is_file()}
    assert {one for one in before if before[one] != after.get(one)} <= {Path("run/config.yaml")}
