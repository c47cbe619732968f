"""Folders appear whole or not at all, belong to one process at a time, and leave nothing behind."""

import errno
import os
import subprocess
import sys

import pytest

from synthgen.errors import SynthgenError
from synthgen.io import (
    new_folder,
    read_json,
    readable_os_errors,
    remove_contents,
    require_absent,
    sole_writer,
    write_bytes,
)

HOLD = """
import sys
from pathlib import Path
from synthgen import io

with getattr(io, sys.argv[1])(Path(sys.argv[2])) as folder:
    ((folder or Path(sys.argv[2])) / "real.png").write_text("a real image")
    print("held", flush=True)
    input()
"""


class Other:
    """Another process inside ``with new_folder(path):`` or ``with sole_writer(path):``."""

    def __init__(self, how, path):
        command = [sys.executable, "-c", HOLD, how, str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"held\n"

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def finish(self):
        self.process.communicate(b"\n")
        assert self.process.returncode == 0


@pytest.fixture
def same_process_id(monkeypatch):
    """In a container a process and the one before it may both have the number 1."""
    monkeypatch.setattr(os, "getpid", lambda: 1)


def test_a_folder_that_another_living_process_writes_is_refused_at_once(tmp_path, same_process_id):
    other = Other("new_folder", tmp_path / "report")
    with (
        pytest.raises(SynthgenError, match=r"Another process is writing .*report"),
        new_folder(tmp_path / "report"),
    ):
        raise AssertionError("it began")
    with new_folder(tmp_path / "another"):  # other names are free
        assert len(list(tmp_path.glob(".report.partial-*"))) == 2  # its folder and its lock
    other.finish()
    assert {path.name for path in tmp_path.iterdir()} == {"report", "another"}
    with pytest.raises(SynthgenError, match="already exists"), new_folder(tmp_path / "report"):
        raise AssertionError("it began")


@pytest.mark.parametrize("name", ["report", "another"])
def test_what_a_killed_process_left_is_removed_at_the_next_start(tmp_path, same_process_id, name):
    Other("new_folder", tmp_path / "report").kill()
    assert list(tmp_path.glob(".report.partial-*/real.png"))
    with new_folder(tmp_path / name) as folder:
        (folder / "mine").write_text("")
        assert not list(tmp_path.glob("*/real.png"))
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {
        name, f"{name}/mine",
    }  # fmt: skip


def test_what_somebody_else_calls_partial_is_left_alone(tmp_path):
    for name in (".report.partial-mine", "report.partial-12345678", ".partial-12345678"):
        (tmp_path / name).mkdir()
    theirs = {path.name for path in tmp_path.iterdir()}
    with new_folder(tmp_path / "report"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"report", *theirs}


def test_a_failure_leaves_nothing_not_even_the_folders_above(tmp_path):
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "a" / "b" / "report"):
        raise ZeroDivisionError
    run = tmp_path / "a" / "run"
    with sole_writer(run):
        (run / "deep").mkdir()
        (run / "deep" / "config.yaml").write_text("")
        remove_contents(run)
        assert [path.name for path in run.iterdir()] == [".lock"]
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_of_the_person_stays(tmp_path):
    (tmp_path / "run").mkdir()
    with sole_writer(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


def test_a_run_folder_has_one_process_at_a_time(tmp_path, same_process_id):
    run = tmp_path / "run"
    other = Other("sole_writer", run)
    with pytest.raises(SynthgenError, match=r"Another process is writing .*run"), sole_writer(run):
        raise AssertionError("it began")
    other.kill()
    with sole_writer(run), sole_writer(run):  # a stage within a run
        pass
    assert [path.name for path in run.iterdir()] == ["real.png"]
    with sole_writer(run):
        second = subprocess.run(
            [sys.executable, "-c", HOLD, "sole_writer", str(run)], capture_output=True, check=False
        )
        assert b"Another process is writing" in second.stderr


def test_a_run_folder_is_held_again_after_a_stage_in_it_was_killed(tmp_path):
    """The stage's staging folder goes while the folders of the run are gone through."""
    other = Other("new_folder", tmp_path / "run" / "report")
    assert list((tmp_path / "run").glob(".report.partial-????????"))
    other.kill()
    with sole_writer(tmp_path / "run"):
        assert [one.name for one in (tmp_path / "run").iterdir()] == [".lock"]


def test_half_written_files_in_a_run_folder_go_when_it_is_held_again(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for half in (".metrics.csv.partial-0123abcd", "checkpoints/.last.ckpt.partial-0123abcd"):
        (run / half).write_text("half")
    (run / ".report.partial-0123abcd" / "deep").mkdir(parents=True)  # killed in a later stage
    with sole_writer(run):
        write_bytes(run / "metrics.csv", b"whole")
    assert {path.name for path in run.rglob("*")} == {"checkpoints", "metrics.csv"}


def test_the_lock_of_a_killed_process_is_nothing_that_lies_there(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").write_text("")
    require_absent(run)
    with sole_writer(run):
        pass
    assert list(run.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": "\\ud800"}', "9" * 5000, '"\xff', "{", ""], ids=lambda t: t[:9]
)
def test_json_that_can_not_be_read_or_written_again(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(SynthgenError, match="damaged: it is not valid JSON"):
        read_json(tmp_path / "a.json")


def test_json_with_whole_characters_passes(tmp_path):
    (tmp_path / "a.json").write_text('["\\ud83d\\ude00", "\\\\ud800"]')
    assert read_json(tmp_path / "a.json") == ["\U0001f600", "\\ud800"]


def test_a_file_larger_than_its_place_allows_is_told_in_words(tmp_path):
    path = tmp_path / "last.ckpt"
    told = pytest.raises(SynthgenError, match=r"last\.ckpt: so large a file .* another out=")
    with told, readable_os_errors(path):
        raise OSError(errno.EFBIG, "File too large")
