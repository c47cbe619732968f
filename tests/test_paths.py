import os
import subprocess
import sys

import pytest

from synthgen.errors import SynthgenError
from synthgen.paths import new_folder


def test_a_folder_that_another_living_process_writes_is_refused_at_once(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        theirs = tmp_path / f".report.partial-{other.pid}"
        theirs.mkdir()
        with (
            pytest.raises(SynthgenError, match=f"Process {other.pid} is writing .*report"),
            new_folder(tmp_path / "report"),
        ):
            raise AssertionError("it began")
        with new_folder(tmp_path / "another"):  # other names are free
            pass
        other.communicate(b"\n")
    with new_folder(tmp_path / "report") as folder:  # it died, and left something behind
        (folder / "mine").write_text("")
    assert theirs.is_dir()
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["mine"]


def test_the_temporary_folder_of_this_process_is_no_other_job(tmp_path):
    with new_folder(tmp_path / "report"):
        assert (tmp_path / f".report.partial-{os.getpid()}").is_dir()
