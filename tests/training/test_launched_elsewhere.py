"""Training by processes that something else has started: torchrun, srun, a script; and what follows
training in ``synthgen run``."""

import json
import os
import random
import subprocess
import sys

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.launch import Launch
from synthgen.training.strategy import device_of, meeting_place
from synthgen.training.train import train

TINY = (
    "model=vae", "model.density=null", "model.batch_size=64", "logger=csv", "trainer.previews=0",
    "max_images=128",
)  # fmt: skip
QUICK = ("plan.per_class=2", "extractor=pixels", "judge=mlp", "judge.steps=2", "seeds=1")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2",
            "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0")  # fmt: skip
COMMAND = ("-m", "synthgen.cli.main")
SCRIPT = """
import functools, torch
from pathlib import Path
from synthgen.data import Digits
from synthgen.data.divide import prepare
from synthgen.networks import R3Encoder, R3Generator
from synthgen.training.schedules import Constant
from synthgen.training.train import train
from synthgen.vae import VAE
from synthgen.vae.likelihoods import GaussianLikelihood
from synthgen.vae.objectives import ELBO
from synthgen.vae.priors import ClassGaussianPrior

splits, tiny = prepare(Digits()), dict(z_dim=4, width=8, max_width=16, patch=2, group_size=None)
image = splits.train.image
model = VAE(
    R3Encoder(image, **tiny), R3Generator(image, **tiny), ClassGaussianPrior, GaussianLikelihood(),
    functools.partial(torch.optim.Adam, lr=0.0), lr=Constant(1e-3), objective=ELBO(Constant(1.0)),
    batch_size=32,
)
print(train(model, splits, Path("run"), max_images=128, previews=0, devices=2))
"""


def finished(command, tmp_path, **environment):
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def require_run_of_two(run, images=128):
    record = json.loads((run / "training.json").read_text())
    assert (record["processes"], record["images_seen"]) == (2, images)
    assert (run / "sampler" / "sampler.json").is_file()


@pytest.mark.slow
def test_under_torchrun(tmp_path):
    line = [*TORCHRUN, *COMMAND, "train", *TINY, "trainer.devices=2", "out=run"]
    out, err = finished(line, tmp_path)
    assert out == "run\n"
    assert err.count("8 × 8 (height × width)") == 1
    require_run_of_two(tmp_path / "run")


@pytest.mark.slow
def test_under_srun_on_two_machines(tmp_path):
    """Each of which reads the data."""
    step = {
        "SLURM_JOB_ID": str(random.randrange(10**6)), "SLURM_STEP_ID": "3",
        "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "0", "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
        "SLURM_STEP_NODELIST": "localhost",
    }  # fmt: skip
    line = [sys.executable, *COMMAND, "train", *TINY, "trainer.num_nodes=2", "out=run"]
    tasks = [
        subprocess.Popen(
            line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **step, "SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank)},
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [task.communicate(timeout=300) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert [out for out, _ in said] == ["run\n", ""]
    assert said[1][1] == ""
    require_run_of_two(tmp_path / "run")


@pytest.mark.slow
def test_a_script_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text(SCRIPT)
    out, _ = finished([*TORCHRUN, "mine.py"], tmp_path)
    assert out.splitlines() == ["run/sampler"] * 2
    require_run_of_two(tmp_path / "run")


@pytest.mark.slow
def test_the_whole_line_draws_with_both_and_reports_once(tmp_path):
    line = [sys.executable, *COMMAND, "run", *TINY, *QUICK, "trainer.devices=2", "out=run"]
    out, err = finished(line, tmp_path, WANDB_MODE="offline")
    assert out == "run\n"
    assert err.count("8 × 8 (height × width)") == 1
    require_run_of_two(tmp_path / "run")
    assert json.loads((tmp_path / "run/synthetic/dataset.json").read_text())["count"] == 20
    assert (tmp_path / "run/report/report.json").is_file()
    assert not (tmp_path / "run/synthetic/.synthgen").exists()


def test_a_script_that_nothing_launched_is_told_both_ways(tmp_path):
    with pytest.raises(SynthgenError, match=r"torchrun --nproc-per-node=2(.|\n)*trainer.devices=2"):
        train(None, None, tmp_path / "run", devices=2)
    assert list(tmp_path.iterdir()) == []


def test_where_processes_meet(monkeypatch):
    for name in ("SYNTHGEN_LAUNCH", "MASTER_ADDR", "MASTER_PORT", "SLURM_NODELIST"):
        monkeypatch.delenv(name, raising=False)
    two = Launch(0, 2, "")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "gpu[07-09,12]")
    ports = set()
    for step in ("0", "1", "2"):
        monkeypatch.setenv("SLURM_JOB_ID", "4812345")
        monkeypatch.setenv("SLURM_STEP_ID", step)
        host, _, port = meeting_place(two).removeprefix("tcp://").partition(":")
        assert host == "gpu07"
        ports.add(int(port))
    assert len(ports) == 3
    assert all(1024 < port < 32768 for port in ports)  # below those that systems hand out
    monkeypatch.setenv("MASTER_ADDR", "there")
    monkeypatch.setenv("MASTER_PORT", "7777")
    assert meeting_place(two) == "env://"
    monkeypatch.setenv("SYNTHGEN_LAUNCH", "/somewhere")
    assert meeting_place(two) == "file:///somewhere/meeting"


@pytest.mark.parametrize(
    ("gpus", "shown", "local", "expected"),
    [
        (4, None, (2, 4), "cuda:2"),
        (1, "3", (2, 4), "cuda:0"),  # SLURM shows each task its own
        (0, None, (1, 2), "cpu"),
    ],
)
def test_each_process_has_a_device_of_its_own(monkeypatch, gpus, shown, local, expected):
    have(monkeypatch, gpus, shown)
    assert str(device_of(Launch(local[0], 4, "", *local), "auto")) == expected


@pytest.mark.parametrize(
    ("gpus", "shown", "accelerator", "words"),
    [
        (2, None, "auto", "torch finds 2 GPU"),
        (1, None, "auto", "torch finds 1 GPU"),
        (0, None, "gpu", "trainer.accelerator=cpu"),
    ],
)
def test_too_few_devices_are_told(monkeypatch, gpus, shown, accelerator, words):
    have(monkeypatch, gpus, shown)
    with pytest.raises(SynthgenError, match=words):
        device_of(Launch(0, 4, "", 0, 4), accelerator)


def have(monkeypatch, gpus, shown):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    if shown is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
