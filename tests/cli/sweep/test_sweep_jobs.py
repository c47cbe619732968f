"""A sweep: a record of every job, whatever becomes of it, and a table of all."""

import csv
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins

from synthgen.cli.main import main
from synthgen.cli.resume import save_config
from synthgen.cli.sweep.folder import (
    SweepFolder,
    SweepJob,
    SweepTable,
    as_csv,
    best_first,
    is_alive,
)
from synthgen.errors import OutOfTimeError, StoppedByUserError, SynthgenError

SWEEP = ("train", "-m", "model=noise", "logger=csv")


@pytest.fixture
def trained(monkeypatch):
    """``trained(act)``: train does ``act(settings, invocation)`` and no more."""

    def set_(act):
        monkeypatch.setattr(importlib.import_module("synthgen.cli.jobs.train"), "run", act)

    return set_


def made(settings, invocation):
    folder = invocation.folder(settings.out)
    folder.mkdir(parents=True)
    return folder


def records(out):
    return {job.job: job for job in SweepFolder(Path(out)).jobs()}


def test_every_job_leaves_a_record_and_all_are_in_the_table(synthgen, trained):
    trained(made)
    done = synthgen(*SWEEP, "seed=3,4", "model=noise,bootstrap", "out=sweep")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [f"sweep/{number}" for number in range(4)]
    table = SweepTable.read(Path("sweep/sweep.json"))
    assert table.verb == "train"
    assert [job.folder for job in table.jobs] == done.out.splitlines()
    assert [job.code for job in table.jobs] == [0] * 4
    assert {"seed=4", "model=noise"} < set(table.jobs[1].overrides)
    rows = list(csv.DictReader(Path("sweep/sweep.csv").read_text().splitlines()))
    assert [(row["seed"], row["model"]) for row in rows][1:3] == [
        ("4", "noise"),
        ("3", "bootstrap"),
    ]
    assert "logger" not in rows[0]  # the same in all


def test_a_sweep_without_out_lies_in_one_new_folder(synthgen, trained):
    trained(made)
    done = synthgen(*SWEEP, "seed=1,2")
    first, second = map(Path, done.out.splitlines())
    assert first.parent == second.parent
    assert first.parent.parent == Path("runs")
    assert (first.parent / "sweep.json").is_file()


def test_a_bug_in_one_job_costs_the_others_nothing_and_is_kept(synthgen, trained):
    def act(settings, invocation):
        return made(settings, invocation) if settings.seed else 1 / 0

    trained(act)
    done = synthgen(*SWEEP, "seed=1,0,2", "out=sweep")
    assert done.code == 1
    assert done.out.splitlines() == ["sweep/0", "sweep/2"]
    assert "Traceback" in records("sweep")[1].said
    assert "Job 1 ended with code 1: ZeroDivisionError" in done.err.splitlines()[-1]


def test_ctrl_c_ends_the_sweep_and_not_only_its_job(synthgen, trained):
    def act(settings, invocation):
        if settings.seed == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        return made(settings, invocation)

    trained(act)
    before = signal.getsignal(signal.SIGINT)  # of a test in the background: to be ignored
    done = synthgen(*SWEEP, "seed=1,2,3,4", "out=sweep")
    assert done.code == 130
    assert {number: job.code for number, job in records("sweep").items()} == {0: 0, 1: 130}
    assert done.out.splitlines() == ["sweep/0"]
    assert "Job 3 was not begun." in done.err
    assert signal.getsignal(signal.SIGINT) is before


def test_a_training_that_notices_ctrl_c_itself_ends_the_sweep_too(synthgen, trained):
    """As those in several processes do: the sweep's own handler is not called."""

    def act(settings, invocation):
        if settings.seed == 2:
            raise StoppedByUserError("Saved.")
        return made(settings, invocation)

    trained(act)
    done = synthgen(*SWEEP, "seed=1,2,3", "out=sweep")
    assert done.code == 130
    assert {number: job.code for number, job in records("sweep").items()} == {0: 0, 1: 130}


def test_a_place_that_holds_a_sweep_is_left_as_it_is(synthgen, trained):
    trained(made)
    assert synthgen(*SWEEP, "seed=1,2", "out=sweep").code == 0
    before = Path("sweep/sweep.json").read_bytes()
    again = synthgen(*SWEEP, "seed=1,2,3,4", "out=sweep")
    assert again.code == 2
    assert "sweep holds a sweep already" in again.err
    assert Path("sweep/sweep.json").read_bytes() == before
    assert not Path("sweep/3").exists()


@pytest.mark.parametrize(
    "wrong",
    [("seeed=1,2",), ("seed=1,2", "hydra.sweep.dir=elsewhere"), ("seed=1,2", "model=nosuch"),
     ("seed=1,2", "hydra/launcher=submitit_slurm")],
    ids=lambda wrong: wrong[-1],
)  # fmt: skip
def test_a_sweep_that_is_refused_leaves_nothing(synthgen, tmp_path, monkeypatch, wrong):
    monkeypatch.setenv("PATH", "/nowhere")
    refused = synthgen(*SWEEP, *wrong, "out=a/sweep")
    assert refused.code == 2
    assert len(refused.err.splitlines()) <= 3
    assert not list(tmp_path.glob("**/*.yaml"))
    assert not (tmp_path / "a" / "sweep").exists()


def test_verbs_that_write_nothing_have_sweeps_that_leave_nothing(synthgen, tmp_path):
    done = synthgen("models", "-m", "group=judge,format")
    assert done.code == 0, done.err
    assert not list(tmp_path.iterdir())


def test_a_job_that_a_scheduler_starts_again_goes_on(synthgen, trained, monkeypatch):
    """It is the same job of the same sweep: neither a new run nor one in the way."""
    seen = []

    def act(settings, invocation):
        seen.append((settings.resume, invocation.overrides == ()))
        folder = made(settings, invocation) if settings.resume is None else Path(settings.resume)
        save_config(settings, "train", folder)
        return folder

    trained(act)
    Plugins.instance()  # it executes the modules of launchers once more, which makes new classes
    launch = importlib.import_module("hydra._internal.core_plugins.basic_launcher").BasicLauncher
    once = launch.launch

    def twice(self, overrides, initial_job_idx):
        once(self, overrides, initial_job_idx)
        place = SweepFolder(Path("sweep"))
        place.end(place.read(0).model_copy(update={"code": 130}))  # told to stop, and requeued
        return once(self, overrides, initial_job_idx)

    monkeypatch.setattr(launch, "launch", twice)
    done = synthgen(*SWEEP, "seed=1", "out=sweep")
    assert done.code == 0, done.err
    assert seen == [(None, False), ("sweep/0", True)]


def test_when_time_is_up_the_sweep_ends_and_its_next_life_does_the_rest(
    synthgen, trained, monkeypatch
):
    seen = []

    def act(settings, invocation):
        seen.append((settings.seed, settings.resume))
        folder = made(settings, invocation) if settings.resume is None else Path(settings.resume)
        save_config(settings, "train", folder)
        if settings.seed == 2 and settings.resume is None:
            raise OutOfTimeError("Saved.")
        return folder

    trained(act)
    monkeypatch.setenv("PATH", "/nowhere")  # no scontrol
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    line = (*SWEEP, "seed=1,2,3", "out=sweep")
    stopped = synthgen(*line)
    assert stopped.code == 85
    assert stopped.out.splitlines() == ["sweep/0"]
    assert seen == [(1, None), (2, None)]
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert synthgen(*SWEEP, "seed=1,7,3", "out=sweep").code == 2  # another sweep
    again = synthgen(*line)
    assert again.code == 0, again.err
    assert again.out.splitlines() == ["sweep/0", "sweep/1", "sweep/2"]
    assert seen[2:] == [(2, "sweep/1"), (3, None)]


@pytest.mark.parametrize("higher", [True, False])
def test_the_table_begins_with_the_best(higher):
    jobs = [
        SweepJob(job=at, overrides=(f"x={at}",), code=0, objective=value, higher_is_better=higher)
        for at, value in enumerate([1.0, 3.0, None, 2.0])
    ]
    order = [one.job for one in best_first(jobs)]
    assert order == ([1, 3, 0, 2] if higher else [0, 3, 1, 2])


def test_a_spreadsheet_calculates_nothing_that_a_setting_says():
    jobs = [
        SweepJob(job=at, overrides=(f"name={v}",), code=0) for at, v in enumerate(("=1+1", "b"))
    ]
    assert "'=1+1" in as_csv(jobs)


def test_a_process_that_ended_and_that_nobody_reaped_is_not_at_work():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(ended.pid)
    ended.wait()
    assert is_alive(os.getpid())


def test_a_damaged_record_is_named(tmp_path):
    folder = SweepFolder(tmp_path)
    folder.begin(0, ["seed=1"])
    (folder.state / "jobs/0/job.json").write_text('{"job": "one"}')
    with pytest.raises(SynthgenError, match=r"job\.json is damaged"):
        folder.jobs()


JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@pytest.mark.slow
def test_with_joblib_jobs_run_side_by_side_and_failures_are_told(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    code = main([*SWEEP, *JOBLIB, "data.holdout=0.1,7,0.2", "out=sweep"])
    out, err = capfd.readouterr()
    assert code == 2
    assert out.splitlines() == ["sweep/0", "sweep/2"]
    assert "Job 1 ended with code 2: data.holdout is 7" in err
    assert len({job.pid for job in records("sweep").values()} | {os.getpid()}) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_with_joblib_a_sweep_is_stopped_in_order(tmp_path, name):
    """Running trainings save their state and end with 130; the others don't begin."""
    line = ("train", "-m", *JOBLIB, "model=vae", "model.density=null", "trainer.previews=0",
            "logger=csv", "max_time=5", "seed=1,2,3,4", "out=sweep")  # fmt: skip
    command = [sys.executable, "-m", "synthgen.cli.main", *line]
    sweep = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                             start_new_session=True)  # fmt: skip
    try:
        deadline = time.monotonic() + 100
        while len(list(tmp_path.glob("sweep/*/metrics.csv"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        if name == "SIGINT":
            os.killpg(sweep.pid, signal.SIGINT)  # as a terminal does
        else:
            sweep.send_signal(signal.SIGTERM)
        _, err = sweep.communicate(timeout=60)
    finally:
        if sweep.poll() is None:
            os.killpg(sweep.pid, signal.SIGKILL)
    assert sweep.returncode == 130, err
    found = json.loads((tmp_path / "sweep/sweep.json").read_text())["jobs"]
    assert [job.get("code") for job in found] == [130, 130, None, None]
    assert all((tmp_path / f"sweep/{n}/checkpoints").is_dir() for n in (0, 1))
