"""kill -9 at any moment: the same call again gives the uninterrupted set, to the byte."""

import os
import random
import signal
import time
import traceback

import pytest

from synthgen.dataset.source import read_synthetic
from synthgen.errors import SynthgenError
from synthgen.synthesis import Balanced, engine, job, synthesize, verify

ROWS_PER_CLASS, SHARD = 320, 64  # two classes: ten shards
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def start(call, rank=0, world=1) -> int:
    """Run ``call`` in a forked process: its packages are imported already, so that a kill hits the
    work. Returns its id; it ends with 0 if the call returned."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), MASTER_PORT="29511")
        call()
        code = 0
    except BaseException:  # it must never return into the tests
        traceback.print_exc()
    finally:
        os._exit(code)


def ended_well(process: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


class Killer:
    """A set that is begun, killed at a random moment, and finished by the same call."""

    def __init__(self, noise, form, folder, contents):
        self.noise, self.form, self.folder, self.contents = noise, form, folder, contents
        started = time.monotonic()
        assert ended_well(self.start(folder / "whole"))
        self.seconds = time.monotonic() - started
        self.whole = contents(folder / "whole")

    def start(self, out, rank=0, world=1):
        def call():
            plan = Balanced(ROWS_PER_CLASS)
            synthesize(self.noise, plan, out, shard_size=SHARD, format=self.form)

        return start(call, rank, world)

    def once(self, number, world):
        """Returns whether the kill hit a set that was under way."""
        out = self.folder / f"killed-{number}"
        processes = [self.start(out, rank, world) for rank in range(world)]
        time.sleep(random.Random(number).uniform(0, 1.2 * self.seconds))
        for process in processes:
            kill(process)
        was_complete = (out / "dataset.json").exists()
        if not (was_complete and not (out / ".synthgen").exists()):
            processes = [self.start(out, rank, world) for rank in range(world)]
            assert [ended_well(process) for process in processes] == [True] * world
        assert self.contents(out) == self.whole
        assert list(verify(out)) == []
        return not was_complete


@pytest.mark.parametrize("world", [1, 2])
def test_killed_at_a_few_moments(noise, one_of_each_kind, tmp_path, contents, world):
    killer = Killer(noise, one_of_each_kind, tmp_path, contents)
    hits = [killer.once(number, world) for number in range(3)]
    assert any(hits), "every kill came too late"


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2])
def test_killed_at_twenty_moments_in_every_format(noise, form, tmp_path, contents, world):
    killer = Killer(noise, form, tmp_path, contents)
    hits = [killer.once(number, world) for number in range(20)]
    assert sum(hits) >= 5, "too many kills came too late"


def test_killed_again_and_again(noise, one_of_each_kind, tmp_path, contents):
    """A process that never lives long still gets there, shard by shard."""
    killer = Killer(noise, one_of_each_kind, tmp_path, contents)
    out = tmp_path / "killed"
    for number in range(200):
        process = killer.start(out)
        time.sleep(killer.seconds * random.Random(number).uniform(0.2, 0.7))
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            break
        kill(process)
        if (out / "dataset.json").exists() and not (out / ".synthgen").exists():
            break
    assert killer.contents(out) == killer.whole


def test_two_processes_give_the_same_set_as_one(noise, form, tmp_path, contents):
    killer = Killer(noise, form, tmp_path, contents)
    processes = [killer.start(tmp_path / "two", rank, 2) for rank in (1, 0)]
    assert all(ended_well(process) for process in processes)
    assert contents(tmp_path / "two") == killer.whole


def test_one_process_finishes_what_two_began(noise, one_of_each_kind, tmp_path, contents):
    killer = Killer(noise, one_of_each_kind, tmp_path, contents)
    out = tmp_path / "set"

    def first_of_two():
        engine.await_shards = lambda *_: os._exit(9)
        synthesize(noise, Balanced(ROWS_PER_CLASS), out, shard_size=SHARD, format=killer.form)

    assert not ended_well(start(first_of_two, 0, 2))
    there = sorted(path.stem for path in (out / ".synthgen" / "shards").iterdir())
    assert there == [f"{shard:06d}" for shard in range(0, 10, 2)]
    assert ended_well(killer.start(out))
    assert contents(out) == killer.whole


def test_a_process_that_comes_too_late_finds_the_set_finished(noise, tmp_path, contents):
    out = tmp_path / "set"

    def call():
        synthesize(noise, Balanced(200), out, shard_size=64)

    assert ended_well(start(call))
    before = contents(out)
    assert ended_well(start(call, 1, 2))
    assert contents(out) == before


def test_a_process_that_is_gone_is_missed(noise, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "PATIENCE", 0.3)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SynthgenError, match="Process 1 of 2 is gone"):
        synthesize(noise, Balanced(200), tmp_path / "set", shard_size=64)


def test_a_process_whose_first_died_does_not_end_well(noise, one_of_each_kind, tmp_path, contents):
    killer = Killer(noise, one_of_each_kind, tmp_path, contents)
    out = tmp_path / "set"

    def first_of_two():
        engine.await_shards = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        synthesize(noise, Balanced(ROWS_PER_CLASS), out, shard_size=SHARD, format=killer.form)

    processes = [start(first_of_two, 0, 2), killer.start(out, 1, 2)]
    assert [ended_well(process) for process in processes] == [False, False]
    assert not (out / "dataset.json").exists()
    again = [killer.start(out, rank, 2) for rank in (0, 1)]
    assert all(ended_well(process) for process in again)
    assert contents(out) == killer.whole


def test_a_second_job_at_the_same_folder_is_refused_while_the_first_lives(
    noise, one_of_each_kind, tmp_path, contents
):
    killer = Killer(noise, one_of_each_kind, tmp_path, contents)
    out = tmp_path / "set"

    def slowly():
        engine.finish = lambda *_: time.sleep(60)  # in the child only
        synthesize(noise, Balanced(ROWS_PER_CLASS), out, shard_size=SHARD, format=killer.form)

    first = start(slowly)
    while not list((out / ".synthgen").glob("shards/*")):
        time.sleep(0.01)
    with pytest.raises(SynthgenError, match="Another job is writing"):
        synthesize(noise, Balanced(ROWS_PER_CLASS), out, shard_size=SHARD, format=killer.form)
    kill(first)  # its lock dies with it
    synthesize(noise, Balanced(ROWS_PER_CLASS), out, shard_size=SHARD, format=killer.form)
    assert contents(out) == killer.whole


def test_jobs_of_two_launches_are_told_apart(noise, tmp_path):
    out = tmp_path / "set"

    def other_launch():
        os.environ["MASTER_PORT"] = "29999"
        job.PATIENCE = 0.1
        synthesize(noise, Balanced(200), out, shard_size=64)

    def first():
        engine.write_shards = lambda *_: time.sleep(60)
        synthesize(noise, Balanced(200), out, shard_size=64)

    one = start(first, 0, 2)  # holds the folder
    while not (out / ".synthgen" / "job.json").exists():
        time.sleep(0.01)
    other = start(other_launch, 1, 2)
    assert not ended_well(other)
    kill(one)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 5}, r"request\.seed=0, not 5"),
        ({"plan": Balanced(201)}, r"per_class=200, not 201"),
        ({"shard_size": 128}, r"shard_size=64, not 128"),
        ({"attempts": 7}, None),  # says nothing where there are no filters
        ({"batch_size": 64}, None),
    ],
)
def test_an_unfinished_set_is_not_gone_on_with_by_another_job(
    noise, tmp_path, monkeypatch, change, said
):
    call = {"plan": Balanced(200), "shard_size": 64}
    out = tmp_path / "set"
    with monkeypatch.context() as patch:
        patch.setattr(engine, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            synthesize(noise, out=out, **call)
    for look in (lambda: next(verify(out)), lambda: read_synthetic(out, ("cat", "dog"))):
        with pytest.raises(SynthgenError, match="unfinished"):
            look()
    if said is None:
        synthesize(noise, out=out, **{**call, **change})
        return
    with pytest.raises(SynthgenError, match=said):
        synthesize(noise, out=out, **{**call, **change})
    synthesize(noise, out=out, **call)
    assert list(verify(out)) == []
