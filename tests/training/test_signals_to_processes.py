"""A signal to one of two processes that train together, to each, to both: they agree to stop after
the same batch, save once and end; none waits for the other."""

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from synthgen.cli.main import main
from synthgen.launch import FOLDER
from synthgen.training.state import read_state

CONTEXT = multiprocessing.get_context("forkserver")
WORLD = 2
LINE = (
    "train", "model=vae", "model.density=null", "model.batch_size=16", "max_time=5",
    "trainer.devices=2", "trainer.accelerator=cpu", "logger=csv", "out=run",
)  # fmt: skip
WITHIN = 60.0  # seconds


def work(folder, rank):
    os.chdir(folder)
    meeting = Path(folder).with_name(f"{Path(folder).name}-meeting")
    meeting.mkdir(exist_ok=True)
    os.environ.update(
        {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(WORLD),
         "LOCAL_WORLD_SIZE": str(WORLD), FOLDER: str(meeting)}
    )  # fmt: skip
    with Path(f"errors-{rank}").open("a") as errors, contextlib.redirect_stderr(errors):
        sys.exit(main(LINE))


def words(folder):
    return "\n".join(path.read_text() for path in sorted(folder.glob("errors-*")))


def stopped(folder, told, delay):
    """Exit codes of both after the signals ``told`` (rank, signal), ``delay`` seconds after the
    first batch."""
    CONTEXT.set_forkserver_preload(["synthgen.cli.application", "synthgen.cli.jobs.train"])
    folder.mkdir()
    ranks = [CONTEXT.Process(target=work, args=(folder, rank)) for rank in range(WORLD)]
    for process in ranks:
        process.start()
    try:
        begun = time.monotonic()
        while not list((folder / "run").glob("samples/*.png")):
            assert all(one.is_alive() for one in ranks), words(folder)
            assert time.monotonic() - begun < WITHIN, words(folder)
            time.sleep(0.02)
        time.sleep(delay)
        for rank, number in told:
            os.kill(ranks[rank].pid, number)
        deadline = time.monotonic() + WITHIN
        for process in ranks:
            process.join(max(0.0, deadline - time.monotonic()))
        assert not any(one.is_alive() for one in ranks), "a process hangs"
    finally:
        for process in ranks:
            process.kill()
            process.join()
    return [one.exitcode for one in ranks]


def require_a_good_state(folder):
    state = read_state(folder / "run" / "checkpoints" / "last.ckpt")["state_dict"]
    assert int(state["clock._images"]) > 0
    assert all(bool(value.isfinite().all()) for value in state.values() if torch.is_tensor(value))
    assert f"Stopped after {int(state['clock._images']):,} images" in words(folder)
    assert not (folder / "run" / "training.json").exists()


ONE, OTHER, BOTH = [0], [1], [0, 1]


@pytest.mark.parametrize(
    ("ranks", "numbers", "code"),
    [(OTHER, [signal.SIGTERM], 130), (BOTH, [signal.SIGUSR1, signal.SIGTERM], 85)],
    ids=["one is told", "both are told twice"],
)
def test_told_to_stop_both_do(tmp_path, monkeypatch, ranks, numbers, code):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    told = [(rank, number) for number in numbers for rank in ranks]
    assert stopped(tmp_path / "job", told, delay=0.1) == [code, code], words(tmp_path / "job")
    require_a_good_state(tmp_path / "job")


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [ONE, OTHER, BOTH], ids=["first", "second", "both"])
def test_seven_times_each(tmp_path, ranks):
    draws = random.Random(len(ranks) + ranks[0])
    for time_ in range(7):
        folder = tmp_path / f"job-{time_}"
        told = [(rank, signal.SIGTERM) for rank in ranks]
        codes = stopped(folder, told, delay=draws.uniform(0, 0.5))
        assert codes == [130, 130], (time_, words(folder))
        require_a_good_state(folder)
