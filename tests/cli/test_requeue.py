"""Jobs of SLURM, with stand-ins of sbatch, srun and scontrol: told that time is up they save, are
queued again, and go on where they were; nobody else goes on with their runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from synthgen import load_sampler
from synthgen.cli import requeue
from synthgen.cli.jobs import evaluate
from synthgen.cli.requeue import begun_again_when_time_is_up, current_job
from synthgen.errors import OutOfTimeError, OutOfTimeInterrupt
from synthgen.synthesis import engine
from synthgen.training.module import GenerativeModule

STAND_INS = Path(__file__).parent / "slurm"
TINY = (
    "model=vae", "model.density=null", "model.batch_size=16", "trainer.previews=0", "logger=csv",
    "max_images=96",
)  # fmt: skip
QUICK = ("plan.per_class=2", "extractor=pixels", "judge=mlp", "judge.steps=2", "seeds=1")


class Slurm:
    """What a process sees of SLURM, and ``scontrol`` to talk to it."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.patch = folder, monkeypatch
        folder.mkdir()
        monkeypatch.setenv("SLURM_STAND_IN", str(folder))
        monkeypatch.setenv("PATH", f"{STAND_INS}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_CLUSTER_NAME", "stand-in")

    def life(self, restart, job="17", **more):
        """The job's ``restart``-th life after the first."""
        (self.folder / job / "tasks").mkdir(parents=True, exist_ok=True)
        self.patch.setenv("SLURM_JOB_ID", job)
        self.patch.delenv("SLURM_RESTART_COUNT", raising=False)
        if restart:
            self.patch.setenv("SLURM_RESTART_COUNT", str(restart))
        for name, value in more.items():
            self.patch.setenv(name, value)

    @property
    def asked(self):
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    return Slurm(tmp_path / ".slurm", monkeypatch)


@pytest.fixture
def signal_at(monkeypatch):
    """``signal_at(images, number)``: once so many images were seen, this process gets a signal."""
    step = GenerativeModule.training_step

    def arrange(images, *numbers):
        waiting = list(numbers)

        def training_step(self, batch, batch_idx):
            step(self, batch, batch_idx)
            while self.clock.images_seen >= images and waiting:
                os.kill(os.getpid(), waiting.pop(0))

        monkeypatch.setattr(GenerativeModule, "training_step", training_step)

    return arrange


def weights(run):
    return load_sampler(run).state_dict()


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def seen(run):
    return json.loads((Path(run) / "training.json").read_text())["images_seen"]


@pytest.fixture
def undisturbed(synthgen):
    def train(*more):
        done = synthgen("train", *TINY, *more, "out=undisturbed")
        assert done.code == 0, done.err
        return weights("undisturbed")

    return train


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_told_that_time_is_up_a_job_is_queued_again_and_goes_on(
    synthgen, slurm, signal_at, undisturbed, number
):
    expected = undisturbed()
    command = ("train", *TINY, "out=run")
    slurm.life(0)
    signal_at(48, number)
    first = synthgen(*command)
    assert first.code == 85, first.err
    assert "Stopped after 48 images" in first.err
    assert "Job 17 is queued again" in first.err
    assert slurm.asked == ["requeue 17"]
    assert not Path("run/sampler").exists()
    slurm.life(1)
    second = synthgen(*command)
    assert second.code == 0, second.err
    assert "going on with run" in second.err
    assert same(expected, weights("run"))
    assert seen("run") == 96
    rows = Path("run/metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["48", "96"]
    slurm.life(2)  # after a later line of its script
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    third = synthgen(*command)
    assert third.code == 0, third.err
    assert "Training is complete" in third.err
    assert before == {path: path.read_bytes() for path in before}


def test_a_job_that_slurm_takes_back_goes_on_too(synthgen, slurm, signal_at, undisturbed):
    """Preemption: SIGTERM, and SLURM queues it again by itself."""
    expected = undisturbed()
    slurm.life(0)
    signal_at(48, signal.SIGTERM)
    first = synthgen("train", *TINY, "out=run")
    assert first.code == 130
    assert slurm.asked == []
    slurm.life(1)
    second = synthgen("train", *TINY, "out=run")
    assert second.code == 0, second.err
    assert same(expected, weights("run"))


def test_the_signal_of_the_limit_and_that_of_the_end_together_are_one_reason(
    synthgen, slurm, signal_at
):
    slurm.life(0)
    signal_at(48, signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM)
    first = synthgen("train", *TINY, "out=run")
    assert first.code == 85, first.err
    assert "Stopped after 48 images" in first.err
    assert slurm.asked == ["requeue 17"]


@pytest.mark.parametrize(
    ("life", "change"),
    [
        ((0, "17"), ()),  # the same script, further down
        ((1, "18"), ()),
        ((0, "18"), ()),
        ((1, "17"), ("seed=5",)),
        ((1, "17"), ("model.lr.start=0.5",)),
        (None, ()),
    ],
    ids=["same life", "another job", "another job, first life", "seed", "rate", "no job"],
)
def test_a_run_is_gone_on_with_by_its_own_command_alone(
    synthgen, slurm, signal_at, monkeypatch, life, change
):
    slurm.life(0)
    signal_at(48, signal.SIGUSR1)
    assert synthgen("train", *TINY, "out=run").code == 85
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    if life is None:
        monkeypatch.delenv("SLURM_JOB_ID")
    else:
        slurm.life(*life)
    other = synthgen("train", *TINY, *change, "out=run")
    assert other.code == 2
    assert "run already exists and was left as it is" in other.err
    assert before == {p: p.read_bytes() for p in Path("run").rglob("*") if p.is_file()}


def test_a_job_of_another_cluster_is_a_stranger(synthgen, slurm, signal_at):
    slurm.life(0)
    signal_at(48, signal.SIGUSR1)
    assert synthgen("train", *TINY, "out=run").code == 85
    slurm.life(1, SLURM_CLUSTER_NAME="elsewhere")
    other = synthgen("train", *TINY, "out=run")
    assert other.code == 2
    assert "already exists" in other.err


def test_no_run_is_continued_by_a_stranger(synthgen, slurm, signal_at, tmp_path, undisturbed):
    """Lightning alone would save hpc_ckpt_1.ckpt here, and start the next training from it."""
    expected = undisturbed("seed=5")
    slurm.life(0)
    signal_at(48, signal.SIGUSR1)
    assert synthgen("train", *TINY, "out=first").code == 85
    assert list(tmp_path.rglob("hpc_ckpt*")) == []
    for life in ((0, "17"), (1, "17"), (0, "18")):
        slurm.life(*life)
        out = f"second-{'-'.join(map(str, life))}"
        second = synthgen("train", *TINY, "seed=5", f"out={out}")
        assert second.code == 0, second.err
        assert seen(out) == 96
        assert same(expected, weights(out))


def test_outside_of_slurm_the_code_and_the_command_are_told(synthgen, signal_at, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    signal_at(48, signal.SIGUSR2)
    first = synthgen("train", *TINY, "out=run")
    assert first.code == 85
    assert first.err.endswith("Go on with: synthgen train resume=run\n")
    assert synthgen("train", "resume=run").code == 0
    assert seen("run") == 96


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ({"job": "19", "known": False}, "Job 19 was not queued again: Invalid job id specified"),
        ({"scontrol": False}, "Job 17 was not queued again: scontrol can't be run"),
        ({"out": ()}, "Job 17 was not queued again: without out= it would not find its folder"),
    ],
    ids=["unknown", "no scontrol", "no out"],
)
def test_a_job_that_can_not_be_queued_again_says_how_to_go_on(
    synthgen, slurm, signal_at, monkeypatch, refused, said
):
    slurm.life(0, refused.get("job", "17"))
    if not refused.get("known", True):
        shutil.rmtree(slurm.folder / refused["job"])
    if not refused.get("scontrol", True):
        monkeypatch.setenv("PATH", "/nowhere")
    signal_at(48, signal.SIGUSR1)
    first = synthgen("train", *TINY, *refused.get("out", ("out=run",)))
    assert first.code == 85
    assert said in first.err
    assert "Go on with: synthgen train resume=" in first.err
    assert slurm.asked == []


def test_a_part_of_an_array_is_named_as_scontrol_wants_it():
    job = current_job(
        {
            "SLURM_JOB_ID": "4719",
            "SLURM_ARRAY_JOB_ID": "4711",
            "SLURM_ARRAY_TASK_ID": "3",
            "SLURM_RESTART_COUNT": "2",
        }
    )
    assert job is not None
    assert (job.id, job.name, job.restart) == ("4719", "4711_3", 2)
    assert current_job({}) is None


def test_only_the_first_of_several_processes_asks(synthgen, slurm, monkeypatch, tmp_path):
    slurm.life(0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(requeue, "ANSWERS", 0.1)
    for rank, asked in (("1", []), ("0", ["requeue 17"])):
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(OutOfTimeError), begun_again_when_time_is_up(None):
            raise OutOfTimeInterrupt
        assert slurm.asked == asked


def stop_in(monkeypatch, place, name):
    """The first call of ``place.name`` gets the signal of the time limit instead."""
    real = getattr(place, name)

    def told(*arguments, **options):
        monkeypatch.setattr(place, name, real)
        os.kill(os.getpid(), signal.SIGUSR1)
        return real(*arguments, **options)

    monkeypatch.setattr(place, name, told)


@pytest.mark.slow
def test_a_run_goes_on_from_whatever_stage_it_was_in(synthgen, slurm, signal_at, monkeypatch):
    whole = synthgen("run", *TINY, *QUICK, "out=whole")
    assert whole.code == 0, whole.err
    command = ("run", *TINY, *QUICK, "out=run")
    slurm.life(0)
    signal_at(48, signal.SIGUSR1)
    told = [synthgen(*command)]
    slurm.life(1)
    stop_in(monkeypatch, engine, "finish")
    told.append(synthgen(*command))
    slurm.life(2)
    stop_in(monkeypatch, evaluate, "report")
    told.append(synthgen(*command))
    assert [one.code for one in told] == [85, 85, 85], [one.err for one in told]
    assert slurm.asked == ["requeue 17"] * 3
    assert not Path("run/report").exists()
    slurm.life(3)
    last = synthgen(*command)
    assert last.code == 0, last.err
    assert same(weights("whole"), weights("run"))
    drawn = [
        {path.name: Image.open(path).tobytes() for path in Path(run, "synthetic").rglob("*.png")}
        for run in ("whole", "run")
    ]
    assert len(drawn[0]) == 20
    assert drawn[0] == drawn[1]
    assert Path("run/report/report.json").is_file()


# The whole way, with a batch script.

SCRIPT = """#!/bin/bash
#SBATCH --signal=USR1@120
#SBATCH --requeue
srun {python} -m synthgen.cli.main train {settings} out=run
"""


@pytest.mark.slow
@pytest.mark.parametrize("told", ["USR1", "USR2"])
def test_a_batch_script_ends_with_the_weights_of_an_undisturbed_run(slurm, undisturbed, told):
    longer = (*TINY[:-1], "max_images=6400", "trainer.checkpoint_minutes=0.005")
    script = SCRIPT.replace("USR1", told).format(python=sys.executable, settings=" ".join(longer))
    Path("job.sh").write_text(script)
    near = "[ -e run/checkpoints/last.ckpt ]"
    done = subprocess.run(
        ["sbatch", "--wait", "job.sh"],
        env=os.environ | {"NEAR_THE_LIMIT": near},
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lives = [line.split() for line in next(slurm.folder.glob("*/lives")).read_text().splitlines()]
    assert lives == [["0", "85"], ["1", "0"]]
    assert "Job 4711 is queued again" in done.stderr
    assert seen("run") == 6400
    assert same(undisturbed("max_images=6400"), weights("run"))
