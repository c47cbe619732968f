"""kill -9 at any moment of a training: gone on with, it ends with the weights of one that was left
alone, to the bit."""

import contextlib
import multiprocessing
import os
import random
import shutil
import sys
import time
from pathlib import Path

import pytest
import torch

from synthgen import load_sampler
from synthgen.cli.main import main
from synthgen.training.state import newest_state, read_state

COMMON = (
    "trainer.previews=3", "trainer.checkpoint_minutes=0.001", "logger=csv", "model.batch_size=16",
)  # fmt: skip
LINES = {
    "vae": ("model=vae", "model.density=null", "max_images=2400"),
    "density": ("model=vae", "max_images=1600"),
    "gan": (
        "model=gan", "gan/augmentation@model.augmentation=ada", "max_images=1600",
        "trainer.best_every=400",
    ),
    "vq": ("model=vq_vae", "max_images=1600"),
    "hybrid": ("model=vae_gan", "max_images=1200"),
}  # fmt: skip
# A process of its own begins with all packages loaded, so that a kill hits the training; and it has
# no threads of this one's, as a fork would.
CONTEXT = multiprocessing.get_context("forkserver")


def work(folder, arguments):
    os.chdir(folder)
    with Path("errors").open("a") as errors, contextlib.redirect_stderr(errors):
        sys.exit(main(arguments))


def leaves(state):
    """Every tensor in nested tables and lists."""
    if torch.is_tensor(state):
        yield state
    elif isinstance(state, dict | list | tuple):
        for one in state.values() if isinstance(state, dict) else state:
            yield from leaves(one)


class Killer:
    """One training, killed again and again, and another that is left alone."""

    def __init__(self, folder, line):
        CONTEXT.set_forkserver_preload(["synthgen.cli.application", "synthgen.cli.jobs.train"])
        self.folder, self.line = folder, [*LINES[line], *COMMON]
        self.run_to_the_end("out=warm", "max_images=16")
        startup = self.run_to_the_end("out=warm-again", "max_images=16")
        self.seconds = self.run_to_the_end("out=whole") - startup
        self.startup = startup

    def start(self, *arguments):
        process = CONTEXT.Process(target=work, args=(self.folder, ["train", *arguments]))
        process.start()
        return process

    def run_to_the_end(self, *more):
        begun = time.monotonic()
        process = self.start(*self.line, *more)
        process.join()
        assert process.exitcode == 0, (self.folder / "errors").read_text()
        return time.monotonic() - begun

    def go_on(self):
        if (self.folder / "run" / "config.yaml").is_file():
            return self.start("resume=run")
        shutil.rmtree(self.folder / "run", ignore_errors=True)  # it was killed before it began
        return self.start(*self.line, "out=run")

    def kill(self, times, seed):
        """Returns how many kills hit a training that was under way, and from which images on the
        parts began."""
        draws, hits, began = random.Random(seed), 0, set()
        for _ in range(times):
            before = self.saved_at()
            process = self.go_on()
            if draws.random() < 0.3:  # before it trains, or just then
                process.join(self.startup * draws.uniform(0.2, 1.2))
            else:
                while process.is_alive() and self.saved_at() == before:
                    time.sleep(0.005)
                process.join(self.seconds * draws.uniform(0, 0.08))
            hits += process.is_alive()
            process.kill()
            process.join()
            began.add(self.images())
        process = self.go_on()
        process.join()
        assert process.exitcode == 0, (self.folder / "errors").read_text()
        return hits, began

    def saved_at(self):
        path = self.folder / "run" / "checkpoints" / "last.ckpt"
        try:
            return path.stat().st_mtime_ns
        except FileNotFoundError:  # not yet, or just being replaced
            return 0

    def images(self):
        path = newest_state(self.folder / "run" / "checkpoints")
        return 0 if path is None else int(read_state(path)["state_dict"]["clock._images"])

    def same(self):
        """All that is kept of a training but the time that it took."""
        one, other = (
            read_state(self.folder / run / "checkpoints" / "last.ckpt") for run in ("run", "whole")
        )
        for state in (one, other):
            del state["state_dict"]["clock._seconds"]
        assert one["state_dict"].keys() == other["state_dict"].keys()
        changed = [
            name
            for name, value in one["state_dict"].items()
            if not torch.equal(value, other["state_dict"][name])
        ]
        assert changed == []
        memories = [list(leaves(state["optimizer_states"])) for state in (one, other)]
        assert len(memories[0]) == len(memories[1]) > 0
        assert all(map(torch.equal, *memories))
        samplers = [load_sampler(self.folder / run).state_dict() for run in ("run", "whole")]
        assert all(torch.equal(value, samplers[1][name]) for name, value in samplers[0].items())
        curves = [self.folder / run / "best.json" for run in ("run", "whole")]
        assert [one.read_bytes() for one in curves if one.exists()] == 2 * [
            one.read_bytes() for one in curves[:1] if one.exists()
        ]


def test_killed_twice(tmp_path):
    killer = Killer(tmp_path, "vae")
    killer.kill(2, seed=1)
    killer.same()


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES)
def test_killed_at_ten_moments(tmp_path, line):
    killer = Killer(tmp_path, line)
    hits, began = killer.kill(10, seed=0)
    assert hits >= 5, "too many kills came too late"
    assert len(began) >= 3, "no part was long enough to save a state"
    killer.same()
