"""The ready files for clusters, and the model of time and cost."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
STAND_INS = ROOT / "tests" / "cli" / "slurm"
# Of SkyPilot's task YAML, as its reference lists them.
KNOWN = {"name", "workdir", "num_nodes", "resources", "envs", "file_mounts", "setup", "run"}


@pytest.fixture
def model():
    import cluster_model

    return cluster_model


def test_the_page_shows_what_the_model_says(model):
    page = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    assert model.table(model.Cluster()) in page


def test_one_gpu_waits_for_nobody_and_more_are_never_better_each(model):
    cluster = model.Cluster()
    assert cluster.averaging(1) == 0
    shares = [cluster.efficiency(n) for n in (1, 2, 8, 9, 16, 64)]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    bare = model.Cluster(parameters=0, hop_within=0, hop_between=0, start=0)
    assert bare.hours(8, 1e6) == pytest.approx(bare.hours(1, 1e6) / 8)
    assert bare.cost(8, 1e6) == pytest.approx(bare.cost(1, 1e6))
    assert bare.hours(1, 7.2e6) == pytest.approx(1.0)  # at 2,000 images/s


def test_two_gpus_send_each_gradient_once(model):
    """Of a ring of two, each sends half of the sum and half of the result."""
    cluster = model.Cluster(parameters=25e6, within=1e9, hop_within=0)
    assert cluster.averaging(2) == pytest.approx(0.1)


def test_the_assumptions_are_settings(model, capsys):
    assert model.main(["images_per_second=900", "price=2.5"]) == 0
    assert "| 100,000 | 2.9 min, $0.12" in capsys.readouterr().out
    assert model.main(["nonsense=1"]) == 2
    assert "batch_per_gpu" in capsys.readouterr().err


def test_the_batch_script_starts_a_task_per_gpu_with_all_settings(tmp_path):
    command = tmp_path / "synthgen"
    command.write_text('#!/bin/bash\necho "task $SLURM_PROCID: $*"\n')
    command.chmod(0o755)
    stand_in = tmp_path / "slurm"
    stand_in.mkdir()
    done = subprocess.run(
        ["sbatch", ROOT / "scripts" / "slurm.sh", "data=digits", "out=a run"],
        env=os.environ
        | {
            "PATH": f"{tmp_path}{os.pathsep}{STAND_INS}{os.pathsep}{os.environ['PATH']}",
            "SLURM_STAND_IN": str(stand_in),
        },
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    settings = "train data=digits out=a run trainer.devices=4 trainer.num_nodes=1"
    assert sorted(done.stdout.splitlines()[1:]) == [f"task {n}: {settings}" for n in range(4)]


def test_the_task_of_skypilot_has_known_fields_and_sound_scripts():
    task = yaml.safe_load((ROOT / "scripts" / "skypilot.yaml").read_text(encoding="utf-8"))
    assert task.keys() <= KNOWN
    for part in ("setup", "run"):
        subprocess.run(["bash", "-n"], input=task[part], text=True, check=True)


@pytest.mark.parametrize("node", ["0", "1"])
@pytest.mark.parametrize("begun", [False, True], ids=["new", "begun"])
def test_the_task_of_skypilot_goes_on_with_what_the_bucket_holds(tmp_path, node, begun):
    """With stand-ins of torchrun and of the bucket."""
    task = yaml.safe_load((ROOT / "scripts" / "skypilot.yaml").read_text(encoding="utf-8"))
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    if begun:
        (bucket / "RUN").mkdir()
        (bucket / "RUN" / "config.yaml").write_text("seed: 0")
    torchrun = tmp_path / "torchrun"
    torchrun.write_text('#!/bin/bash\necho "$*"\nmkdir -p RUN\ntouch RUN/done\nexit 7\n')
    torchrun.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["bash", "-c", task["run"].replace("/bucket", str(bucket))],
        env=os.environ
        | {
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "SETTINGS": "model=gan seed=3",
            "SKYPILOT_NODE_RANK": node, "SKYPILOT_NUM_NODES": "2",
            "SKYPILOT_NUM_GPUS_PER_NODE": "8", "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
        },
        cwd=work, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    what = "resume=RUN" if begun else "out=RUN model=gan seed=3"
    assert f"synthgen train {what} trainer.devices=8 trainer.num_nodes=2" in done.stdout
    assert f"--node-rank={node}" in done.stdout
    assert "--master-addr=10.0.0.1 " in done.stdout
    assert (bucket / "RUN" / "done").exists() == (node == "0")
