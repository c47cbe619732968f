"""What the command does before it knows its verb."""

import os
import subprocess
import sys

import pytest

from synthgen.cli import application
from synthgen.cli.main import SPINS, wait_briefly


def test_threads_do_not_wait_for_long() -> None:
    environment: dict[str, str] = {}
    wait_briefly(environment)
    assert environment == {"GOMP_SPINCOUNT": str(SPINS)}


@pytest.mark.parametrize("own", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}])
def test_ones_own_setting_is_kept(own: dict[str, str]) -> None:
    environment = dict(own)
    wait_briefly(environment)
    assert environment == own


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have another OpenMP library")
def test_the_setting_is_there_before_torch_is_loaded() -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    done = subprocess.run(
        [sys.executable, "-m", "synthgen.cli.main", "data", "check", "data=digits"],
        env={**environment, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"GOMP_SPINCOUNT = '{SPINS}'" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such terminals")
def test_words_for_a_terminal_that_was_closed_are_no_error(monkeypatch):
    ours, theirs = os.openpty()
    os.close(ours)
    with open(theirs, "w") as closed:
        monkeypatch.setattr(sys, "stderr", closed)
        application._tell("Stopped.\n")
        assert closed.write("nothing is heard")
        closed.flush()
