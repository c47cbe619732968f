"""The small process that starts and watches the others, with scripts in the place of trainings."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synthgen.cli import launch
from synthgen.cli.application import Invocation
from synthgen.errors import LOST

WATCHING = (
    "import sys; from synthgen.cli import launch; launch.GRACE = {grace}; launch.PATIENCE = 0.3; "
    "sys.exit(launch.start_together([sys.executable, '-c', sys.argv[1]], 2))"
)
RANK = "import os, signal, sys, time; rank = int(os.environ['RANK']); "


def watch(script, grace=20, **options):
    """The watching process, in a group of its own, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-c", WATCHING.format(grace=grace), RANK + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def outcome(script, **options):
    process = watch(script, **options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_rank_0_speaks_for_all_and_each_knows_its_place():
    names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE"
    code, out, err = outcome(
        f"print([os.environ[key] for key in '{names}'.split()], os.getpgid(0) == os.getpid()); "
        "print('hm', file=sys.stderr)"
    )
    assert (code, out, err) == (0, "['0', '0', '2', '2'] True\n", "hm\n")


@pytest.mark.parametrize("rank", [0, 1])
def test_what_failed_is_told_once_with_its_code_and_the_others_are_ended(rank):
    begun = time.monotonic()
    code, _, err = outcome(
        f"print('words of', rank, file=sys.stderr, flush=True) if rank == {rank} else None; "
        f"sys.exit(7) if rank == {rank} else time.sleep(50)"
    )
    assert (code, err) == (7, f"words of {rank}\n")
    assert time.monotonic() - begun < 20


def test_a_fault_that_all_find_is_told_once():
    code, _, err = outcome("time.sleep(0.2 * (1 - rank)); print('bad', file=sys.stderr); exit(2)")
    assert (code, err) == (2, "bad\n")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_is_named_and_what_its_partner_says_is_heard(rank):
    code, _, err = outcome(
        f"os.kill(os.getpid(), signal.SIGKILL) if rank == {rank} else time.sleep(0.2); "
        f"print('go on so', file=sys.stderr); sys.exit({LOST})"
    )
    assert code == 128 + signal.SIGKILL
    assert sorted(err.splitlines()) == [f"Process {rank} of 2 was ended by SIGKILL.", "go on so"]


def test_who_does_not_end_by_itself_is_ended_after_a_while():
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    begun = time.monotonic()
    code, _, err = outcome(deaf + "sys.exit(3) if rank else time.sleep(50)", grace=0.5)
    assert code == 3
    assert "Process 1 of 2 ended with code 3." in err
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_a_signal_reaches_each_once(tmp_path, name):
    process = watch(
        f"seen = []; signal.signal(signal.{name}, lambda *_: seen.append(1)); "
        f"open(f'{tmp_path}/{{rank}}', 'w').close()\n"
        "while not seen: time.sleep(0.01)\n"
        "time.sleep(0.3); print(len(seen), flush=True); sys.exit(130 + len(seen) - 1)"
    )
    until_begun(tmp_path)
    os.killpg(process.pid, getattr(signal, name))  # as a terminal does it: to the whole group
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "1\n")


def until_begun(folder):
    """Both processes have made a file there; returns the files."""
    deadline = time.monotonic() + 60
    while len(found := list(folder.iterdir())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


BEGUN = "open(f'{folder}/{{rank}}-{{os.getpid()}}', 'w').close()\n"


def test_under_nohup_a_closed_terminal_is_nothing(tmp_path):
    process = watch(
        BEGUN.format(folder=tmp_path) + "time.sleep(1)",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    until_begun(tmp_path)
    os.killpg(process.pid, signal.SIGHUP)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_rank_0_may_take_longer_than_the_others_to_hand_over_what_all_know_of(tmp_path):
    process = watch(
        "from synthgen.cli.launch import take_leave; seen = []; told = lambda *_: seen.append(1)\n"
        "signal.signal(signal.SIGTERM, told); " + BEGUN.format(folder=tmp_path) + "\n"
        "while not seen: time.sleep(0.01)\n"
        "if rank == 0: take_leave(); time.sleep(1.5); print(len(seen), flush=True)\n"
        "sys.exit(130)"
    )
    until_begun(tmp_path)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "1\n")  # it was told once


def test_who_does_not_answer_is_ended_once_the_person_has_asked_twice(tmp_path):
    process = watch(
        "signal.signal(signal.SIGINT, lambda *_: None); " + BEGUN.format(folder=tmp_path) + "\n"
        "os.kill(os.getpid(), signal.SIGSTOP) if rank else time.sleep(50)",
        grace=0.5,
    )
    found = until_begun(tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(1.5)
    assert process.poll() is None  # once may be too soon: it saves
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Process 1 of 2 did not answer, and was ended." in err
    assert not any(alive(pid_of(path)) for path in found)


def pid_of(path):
    return int(path.name.partition("-")[2])


def test_all_end_when_the_watching_process_dies_and_nothing_is_left(tmp_path):
    begun, scratch = tmp_path / "begun", tmp_path / "scratch"
    begun.mkdir()
    scratch.mkdir()
    process = watch(
        "from synthgen.cli.launch import hold_lifeline; hold_lifeline()\n"
        + BEGUN.format(folder=begun) + "time.sleep(50)",
        env={**os.environ, "TMPDIR": str(scratch)},
    )  # fmt: skip
    pids = [pid_of(path) for path in until_begun(begun)]
    process.kill()
    process.wait()  # not for its output, which the others hold open
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)
    assert list(scratch.iterdir()) == []


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_watching_needs_no_torch():
    loaded = "import sys; import synthgen.cli.application; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_a_job_of_a_sweep_has_a_command_line_of_its_own():
    line = ("-m", "seed=0,1", "model=vae", "--config-dir", "mine", "hydra/launcher=joblib",
            "hydra.searchpath=[file://here]", "out=a b")  # fmt: skip
    mine = ("seed=1", "model=vae", "out='a b'", "objective=kid")
    of_hydra = ("hydra/launcher=joblib", "hydra.searchpath=[file://here]")
    job = Invocation("train", mine, (), "train", 1, Path("a b"), of_hydra)
    place = job.folder("a b")
    assert launch.own_command("train", line, job, place)[3:] == [
        "train", "--config-dir", "mine", "hydra.searchpath=[file://here]", "seed=1", "model=vae",
        "out='a b/1'",
    ]  # fmt: skip
    assert launch.own_command("train", line, job, place, "resume")[3:] == [
        "train", "--config-dir", "mine", "hydra.searchpath=[file://here]", "resume='a b/1'",
    ]  # fmt: skip
