"""Where nothing can be written at home, everything runs, and one line says what is off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synthgen.cli.home import settle_without_home


def test_a_home_that_can_be_written_is_left_alone(tmp_path):
    environ = {"HOME": str(tmp_path)}
    assert settle_without_home(environ) is None
    assert environ == {"HOME": str(tmp_path)}
    assert not [*tmp_path.iterdir()]


def test_caches_go_elsewhere_where_it_cannot(tmp_path):
    (tmp_path / "file").write_text("")
    environ = {"HOME": str(tmp_path / "file"), "MPLCONFIGDIR": "own"}
    line = settle_without_home(environ)
    assert line is not None
    assert "can't be written" in line
    assert Path(environ["XDG_CACHE_HOME"]).is_dir()
    assert environ["MPLCONFIGDIR"] == "own"


@pytest.mark.slow  # matplotlib looks at all fonts where it finds no cache
def test_a_whole_stage_runs_without_home_account_or_network(tmp_path):
    """W&B and matplotlib, which would each complain in several lines, say nothing."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "XDG_"))}
    environ |= {"HOME": "/dev/null", "http_proxy": "http://127.0.0.1:9", "NETRC": "/dev/null"}
    line = ["train", "data=digits", "model=pca_gaussian", "out=run"]
    done = subprocess.run(
        [sys.executable, "-m", "synthgen.cli.main", *line],
        capture_output=True, text=True, env=environ, cwd=tmp_path, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "home" in line or "/dev/null" in line]
    assert len(said) == 1
    assert "INFO" not in done.stderr
    assert "ERROR" not in done.stderr
    assert "W&B is offline" in done.stderr
    assert [*(tmp_path / "run" / "wandb").glob("offline-run-*")]
