"""What tests of several rooms share."""

import os

# One thread: the networks of the tests are so small that a second one costs more than it brings,
# and on a busy machine waiting for it costs a hundredfold. Subprocesses inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from synthgen.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """One command line, run in this process."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.out.splitlines()[-1]


@pytest.fixture
def synthgen(capsys, monkeypatch, tmp_path) -> Callable[..., Outcome]:
    """``synthgen("train", "model=vae")`` in an empty folder, without W&B's network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return run
