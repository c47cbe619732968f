"""Sweeps through submitit, against stand-ins of SLURM's commands: ``sbatch`` starts each task of an
array in the background, ``sacct`` tells whether it is alive."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("hydra_plugins.hydra_submitit_launcher")

SBATCH = """\
#!{python}
import os, re, subprocess, sys
file, text = sys.argv[-1], open(sys.argv[-1]).read()
found = re.search(r"--array=(\\d+)-(\\d+)", text)
tasks = range(int(found[1]), int(found[2]) + 1) if found else [0]
for task in tasks:
    known = dict(os.environ, SLURM_JOB_ID=str(700 + task), SLURM_ARRAY_JOB_ID="700",
                 SLURM_ARRAY_TASK_ID=str(task), SLURM_NTASKS="1", SLURM_JOB_NUM_NODES="1",
                 SLURM_NODEID="0", SLURM_JOB_NODELIST="here")
    job = subprocess.Popen(["bash", file], env=known, start_new_session=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    open(f"{folder}/700_{{task}}.pid", "w").write(str(job.pid))
    open(f"{folder}/700_{{task}}.file", "w").write(os.path.abspath(file))
print("Submitted batch job 700")
"""
SRUN = """\
#!{python}
import os, sys
words = sys.argv[1:]
known = dict(os.environ, SLURM_PROCID="0", SLURM_LOCALID="0")
for flag, number in (("--output", 1), ("--error", 2)):
    if flag in words:
        at = words.index(flag)
        name = words[at + 1].replace("%A", "700").replace("%a", known["SLURM_ARRAY_TASK_ID"])
        name = name.replace("%j", known["SLURM_JOB_ID"]).replace("%t", "0")
        os.makedirs(os.path.dirname(name), exist_ok=True)
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        del words[at : at + 2]
words = [word for word in words if word != "--unbuffered"]
os.execvpe(words[0], words, known)
"""
SACCT = """\
#!{python}
import pathlib
print("JobID|State|NodeList")
for path in sorted(pathlib.Path("{folder}").glob("*.pid")):
    stat = pathlib.Path(f"/proc/{{path.read_text()}}/stat")
    alive = stat.is_file() and stat.read_text().split()[2] != "Z"
    print(f"{{path.stem}}|{{'RUNNING' if alive else 'FAILED'}}|here")
"""
SCANCEL = """\
#!{python}
import os, pathlib, signal, sys
for job in sys.argv[1:]:
    path = pathlib.Path("{folder}") / f"{{job}}.pid"
    if path.is_file():
        os.killpg(int(path.read_text()), signal.SIGKILL)
"""
SCONTROL = """\
#!{python}
import os, pathlib, subprocess, sys, time
if sys.argv[1] == "requeue":  # what follows is the job's next life, and here at once
    name = pathlib.Path("{folder}") / sys.argv[2]
    before = name.with_suffix(".pid").read_text()
    words = [sys.executable, __file__, "after", before, name.with_suffix(".file").read_text()]
    job = subprocess.Popen(words, start_new_session=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    name.with_suffix(".pid").write_text(str(job.pid))
else:
    stat = pathlib.Path("/proc") / sys.argv[2] / "stat"
    while stat.is_file() and stat.read_text().split()[2] != "Z":
        time.sleep(0.1)
    known = {{key: value for key, value in os.environ.items()  # as the job was submitted
             if "RANK" not in key and "WORLD" not in key and not key.startswith("SYNTHGEN")}}
    os.execvpe("bash", ["bash", sys.argv[3]], dict(known, SLURM_RESTART_COUNT="1"))
"""
LINE = ("train", "-m", "hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5",
        "logger=csv", "out=sweep")  # fmt: skip
TINY = ("model=vae", "model.density=null", "trainer.previews=0", "max_time=5")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """The folder of the stand-ins, which is in PATH."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    commands = {
        "sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "scancel": SCANCEL, "scontrol": SCONTROL,
    }  # fmt: skip
    for name, text in commands.items():
        path = folder / name
        path.write_text(text.format(python=sys.executable, folder=folder))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    yield folder
    for path in folder.glob("*.pid"):
        try:
            os.killpg(int(path.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            continue


def started(*line):
    command = [sys.executable, "-m", "synthgen.cli.main", *line]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def record(number):
    path = Path(f"sweep/.sweep/jobs/{number}/job.json")
    return json.loads(path.read_text()) if path.is_file() else {}


@pytest.mark.slow
def test_a_sweep_of_four_jobs_of_which_one_fails(slurm):
    done = started(*LINE, "model=noise", "data.holdout=0.1,0.2,7,0.3")
    out, err = done.communicate(timeout=300)
    assert done.returncode == 2, err
    assert out.splitlines() == ["sweep/0", "sweep/1", "sweep/3"]
    assert all(Path(f"{folder}/sampler/sampler.json").is_file() for folder in out.splitlines())
    assert "Job 2 ended with code 2: data.holdout is 7" in err
    assert "Job 2 is 700_2; it writes to " in err
    (own,) = Path("sweep/.sweep/.submitit").glob("700_2/*_log.err")
    assert "data.holdout is 7" in own.read_text()
    assert [job["code"] for job in json.loads(Path("sweep/sweep.json").read_text())["jobs"]] == [
        0, 0, 2, 0
    ]  # fmt: skip


@pytest.mark.slow
def test_a_job_that_is_killed_costs_the_others_nothing(slurm):
    sweep = started(*LINE, *TINY[:3], "max_time=5", "max_images=200,100000000")
    until(lambda: record(1).get("pid") and record(0).get("pid"))
    os.kill(record(1)["pid"], signal.SIGKILL)
    out, err = sweep.communicate(timeout=120)
    assert sweep.returncode == 1, err
    assert out.splitlines() == ["sweep/0"]
    assert "Job 1 began and was killed." in err


@pytest.mark.slow
def test_ctrl_c_cancels_what_slurm_has(slurm):
    sweep = started(*LINE, *TINY, "seed=1,2")
    until(lambda: record(1).get("pid") and record(0).get("pid"))
    sweep.send_signal(signal.SIGINT)
    _, err = sweep.communicate(timeout=60)
    assert sweep.returncode == 130, err
    for path in slurm.glob("*.pid"):
        until(lambda path=path: not is_running(int(path.read_text())), 10)


@pytest.mark.slow
def test_a_job_whose_time_is_up_is_queued_again_and_waited_for(slurm):
    sweep = started(*LINE, *TINY[:3], "max_images=500,6000")
    until(lambda: Path("sweep/1/metrics.csv").is_file(), 300)
    os.kill(record(1)["pid"], signal.SIGUSR2)
    out, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, err
    assert out.splitlines() == ["sweep/0", "sweep/1"]
    (own,) = Path("sweep/.sweep/.submitit").glob("700_1/*_log.err")
    assert "sweep/1 was begun before and goes on." in own.read_text()


def is_running(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.is_file() and stat.read_text().split()[2] != "Z"


def test_sbatch_that_refuses_is_a_sentence(slurm, synthgen):
    path = slurm / "sbatch"
    path.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    refused = synthgen(*LINE, "model=noise", "seed=1,2")
    assert refused.code == 2
    assert "invalid partition" in refused.err
    assert "Traceback" not in refused.err
    assert not Path("sweep/sweep.json").exists()
