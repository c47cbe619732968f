"""The states that stay, and going on from one of them."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from synthgen.training.state import keep_numbered, numbered_states, read_state, write_state

LINE = (
    "train", "model=vae", "model.density=null", "model.batch_size=16", "trainer.previews=0",
    "logger=csv", "trainer.checkpoint_minutes=0",
)  # fmt: skip


def moments(run="run"):
    return list(numbered_states(Path(run) / "checkpoints"))


def state(run, name="last"):
    found = read_state(Path(run) / "checkpoints" / f"{name}.ckpt")["state_dict"]
    del found["clock._seconds"]
    return found


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture
def trained(synthgen):
    def train(*more):
        done = synthgen(*LINE, "max_images=96", *more, "out=run")
        assert done.code == 0, done.err
        return Path("run")

    return train


def test_the_last_states_stay_and_no_others(trained):
    run = trained("trainer.keep_states=3")
    assert moments() == [64, 80, 96]
    assert same(state(run), state(run, f"{96:012d}"))
    last, own = (run / "checkpoints" / name for name in ("last.ckpt", f"{96:012d}.ckpt"))
    assert last.samefile(own)  # no second copy on the disk
    assert sorted(one.name for one in (run / "checkpoints").iterdir()) == [
        *(f"{moment:012d}.ckpt" for moment in (64, 80, 96)), "last.ckpt", "previous.ckpt",
    ]  # fmt: skip


def test_without_the_setting_none_is_numbered(trained):
    trained()
    assert moments() == []


def test_a_run_goes_on_from_an_earlier_state_to_the_same_end(synthgen, trained):
    run = trained("trainer.keep_states=4")
    expected = state(run)
    gone_on = synthgen("train", "resume=run", "ckpt=64")
    assert gone_on.code == 0, gone_on.err
    assert same(expected, state(run))
    assert moments() == [48, 64, 80, 96]
    rows = (run / "metrics.csv").read_text().splitlines()[1:]
    images = [int(row.split(",")[0]) for row in rows]
    assert images == sorted(set(images))
    assert images[-1] == 96


def test_states_of_later_moments_go_once_the_run_goes_another_way(synthgen, trained):
    trained("trainer.keep_states=4")
    gone_on = synthgen("train", "resume=run", "ckpt=48", "max_images=64")
    assert gone_on.code == 0, gone_on.err
    assert moments() == [48, 64]
    assert int(state("run")["clock._images"]) == 64


def test_the_best_moment_stays_and_is_gone_on_from(synthgen, trained, monkeypatch):
    from synthgen.training.callbacks import HoldoutDistance

    distances = iter([0.5, 0.2, 0.9, 0.8, 0.7, 0.6])
    monkeypatch.setattr(HoldoutDistance, "__call__", lambda self, sampler: next(distances))
    run = trained(
        "trainer.keep_states=1", "trainer.best_every=16", "trainer.checkpoint_minutes=0.001"
    )
    assert [row["distance"] for row in json.loads((run / "best.json").read_text())] == [
        0.5, 0.2, 0.9, 0.8, 0.7, 0.6,
    ]  # fmt: skip
    assert moments() == [32, 96]
    expected = state(run)
    distances = iter([0.9, 0.8, 0.7, 0.6])
    gone_on = synthgen("train", "resume=run", "ckpt=best")
    assert gone_on.code == 0, gone_on.err
    assert same(expected, state(run))
    assert moments() == [32, 96]


@pytest.mark.parametrize(
    ("ckpt", "said"),
    [
        ("best", "holds no state of the best moment"),
        ("100", "holds no state of 100 images.\nKept under their images seen: 80, 96;"),
        ("nonsense", "ckpt"),
    ],
)
def test_a_state_that_was_not_kept_is_refused(synthgen, trained, ckpt, said):
    run = trained("trainer.keep_states=2")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    refused = synthgen("train", "resume=run", f"ckpt={ckpt}")
    assert refused.code == 2
    assert said in refused.err
    assert "Traceback" not in refused.err
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("verb", ["train", "run"])
def test_a_state_without_a_run_is_refused(synthgen, tmp_path, verb):
    refused = synthgen(verb, *LINE[1:], "max_images=16", "ckpt=best", "out=run")
    assert refused.code == 2
    assert "Name the run: resume=RUN" in refused.err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_state_is_refused_by_name(synthgen, trained):
    run = trained("trainer.keep_states=2")
    path = run / "checkpoints" / f"{80:012d}.ckpt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused = synthgen("train", "resume=run", "ckpt=80")
    assert refused.code == 2
    assert f"{80:012d}.ckpt is damaged" in refused.err


def test_where_the_disk_knows_no_second_names_a_copy_is_kept(tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    last = tmp_path / "last.ckpt"
    for number in (16, 32, 48):
        write_state({"number": number}, last)
        keep_numbered(last, number, keep=2, best=None)
    assert [read_state(one)["number"] for one in numbered_states(tmp_path).values()] == [32, 48]
    shutil.rmtree(tmp_path)
