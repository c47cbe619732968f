"""One process per folder, whoever starts it; a start that fails leaves nothing behind."""

import json
import multiprocessing
import os
import pickle
from pathlib import Path

import pytest

from synthgen.io import sole_writer
from synthgen.launch import current_launch

TINY = ("model=vae", "model.density=null", "model.batch_size=16", "trainer.previews=0")
QUICK = ("plan.per_class=2", "extractor=pixels", "judge=mlp", "judge.steps=2", "seeds=1")
SLURM = {"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2", "SLURM_NNODES": "1"}
ALONE = {
    "evaluate": ("synthetic=set",),
    "compare": ("a", "b"),
    "review": ("synthetic=set",),
    "look": ("sampler=run",),
    "data check": (),
}


@pytest.fixture
def trained(synthgen):
    done = synthgen("train", "model=noise", "logger=csv", "out=run")
    assert done.code == 0, done.err
    return Path("run")


@pytest.fixture
def elsewhere():
    """``elsewhere(folder)``: another process holds the folder until the test is over."""
    begun = []
    context = multiprocessing.get_context("fork")

    def hold(folder):
        held, over = context.Event(), context.Event()

        def work():
            with sole_writer(Path(folder)):
                held.set()
                over.wait()

        process = context.Process(target=work)
        process.start()
        assert held.wait(30)
        begun.append((process, over))

    yield hold
    for process, over in begun:
        over.set()
        process.join()


@pytest.mark.parametrize("verb", ["train", "run"])
def test_a_second_process_at_the_same_folder_is_refused(synthgen, elsewhere, tmp_path, verb):
    elsewhere("runs/mine")
    second = synthgen(verb, *TINY, "logger=csv", "max_images=16", "out=runs/mine")
    assert second.code == 2
    assert "Another process is writing" in second.err
    assert [path.name for path in Path("runs/mine").iterdir()] == [".lock"]


@pytest.mark.parametrize("verb", ["train", "run"])
def test_a_run_is_resumed_by_one_process_at_a_time(synthgen, elsewhere, tmp_path, verb):
    done = synthgen("run", "model=noise", *QUICK, "logger=csv", "out=run")
    assert done.code == 0, done.err
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    elsewhere("run")
    second = synthgen(verb, "resume=run")
    assert second.code == 2
    assert "Another process is writing" in second.err
    after = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    after.pop(Path("run/.lock"))
    assert after == before


@pytest.mark.parametrize("verb", ALONE)
def test_several_processes_of_one_launch_are_refused(synthgen, monkeypatch, tmp_path, verb):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = synthgen(*verb.split(), *ALONE[verb], "out=new")
    assert outcome.code == 2
    assert f"2 processes were started (torchrun or srun), but synthgen {verb} works" in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["train", "run"])
@pytest.mark.parametrize("settings", [(), ("trainer.devices=1", "trainer.num_nodes=2")])
def test_a_launch_must_be_what_the_trainer_expects(synthgen, monkeypatch, tmp_path, verb, settings):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = synthgen(verb, *TINY, *settings, "out=new")
    assert outcome.code == 2
    assert "2 processes were started (torchrun or srun), 2 on this machine" in outcome.err
    assert "Use trainer.devices=2 trainer.num_nodes=1" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_srun_says_which_of_a_machines_tasks_this_is(monkeypatch):
    step = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "5", "SLURM_LOCALID": "1",
            "SLURM_NODEID": "1", "SLURM_STEP_TASKS_PER_NODE": "2(x2),1"}  # fmt: skip
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    launch = current_launch()
    assert (launch.rank, launch.world, launch.local_rank, launch.local_world) == (3, 5, 1, 2)


def test_a_step_of_srun_is_a_launch_and_the_shell_of_a_job_is_none(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_PROCID", "0")  # as in a batch script
    assert current_launch().world == 1
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")  # as in the interactive step of salloc
    assert current_launch().world == 1
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert (current_launch().rank, current_launch().world) == (1, 2)


@pytest.mark.parametrize("procid", [None, "0"])
def test_in_the_shell_of_a_slurm_job_a_set_is_drawn_alone(synthgen, trained, monkeypatch, procid):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    if procid:
        monkeypatch.setenv("SLURM_PROCID", procid)
    drawn = synthgen("synthesize", "sampler=run", "plan.per_class=2", "logger=csv", "out=set")
    assert drawn.code == 0, drawn.err
    assert "SLURM granted 2 tasks" in drawn.err
    assert "srun synthgen synthesize" in drawn.err


def test_in_a_slurm_job_training_starts_at_image_0_whatever_lies_about(
    synthgen, monkeypatch, tmp_path
):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "hpc_ckpt_1.ckpt").write_bytes(b"")
    done = synthgen("train", *TINY, "logger=csv", "max_images=32", "out=run")
    assert done.code == 0, done.err
    assert json.loads(Path("run/training.json").read_text())["images_seen"] == 32
    assert {path.name for path in tmp_path.iterdir()} == {"hpc_ckpt_1.ckpt", "run"}
    (tmp_path / "run" / "hpc_ckpt_1.ckpt").write_bytes(b"")
    resumed = synthgen("train", "resume=run", "max_images=64")
    assert resumed.code == 2
    assert "hpc_ckpt_1.ckpt was not written by this run" in resumed.err


@pytest.mark.parametrize(
    "wrong",
    [
        ("trainer.num_nodes=2",),
        ("trainer.best_every=10", "model.density={_target_: "
         "synthgen.vae.densities.RunningGaussian, _partial_: true}"),
        ("start=nowhere",),
        ("data.holdout=7",),
        ("trainer.nosuch=1",),
        ("order._target_=os.system",),
        ("model.batch_size=0",),
    ],
    ids=lambda wrong: wrong[0].split("=")[0],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["train", "run"])
def test_a_start_that_fails_leaves_no_folder(synthgen, tmp_path, verb, wrong):
    outcome = synthgen(verb, *TINY, "logger=csv", "max_images=32", "out=a/b/run", *wrong)
    assert outcome.code not in (0, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (RuntimeError("CUDA out of memory"), 2)]
)
def test_a_training_that_ends_before_its_first_image_leaves_no_folder(
    synthgen, tmp_path, monkeypatch, error, code
):
    def end(*args):
        raise error

    monkeypatch.setattr("synthgen.vae.VAE.step", end)
    assert synthgen("train", *TINY, "logger=csv", "max_images=32", "out=a/run").code == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        ("synthesize", "sampler=nowhere"),
        ("synthesize", "sampler=run", "plan.per_class=0"),
        ("synthesize", "sampler=run", "filter=near_duplicates", "device=nosuch"),
        ("evaluate", "synthetic=nowhere"),
        ("evaluate", "synthetic=run"),
        ("compare", "nowhere"),
        ("review", "synthetic=nowhere"),
        ("look", "sampler=nowhere"),
        ("look", "sampler=run", "what=walk"),  # noise has no latents
        ("data", "check", "data=image_folder", "data.root=nowhere"),
    ],
    ids=" ".join,
)
def test_no_verb_leaves_a_folder_when_it_is_refused(synthgen, trained, tmp_path, line):
    outcome = synthgen(*line, "out=a/b/new", "logger=csv")
    assert outcome.code == 2, outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def in_a_process_of_its_own(run_job):
    """Hydra's function that runs one job, as the joblib launcher does it: what happens there comes
    back pickled and in no other way."""

    def run(**options):
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe()

        def work():
            there.send_bytes(pickle.dumps(run_job(**options)))
            os._exit(0)

        process = context.Process(target=work)
        process.start()
        result = pickle.loads(here.recv_bytes())
        process.join()
        return result

    return run


@pytest.mark.parametrize(("where", "order"), [("here", "0.1,7"), ("elsewhere", "7,0.1")])
def test_a_sweep_with_a_failed_job_ends_with_its_code(synthgen, monkeypatch, where, order):
    from hydra._internal.core_plugins import basic_launcher

    if where == "elsewhere":
        monkeypatch.setattr(
            basic_launcher, "run_job", in_a_process_of_its_own(basic_launcher.run_job)
        )
    done = synthgen(
        "train", "-m", "model=noise", f"data.holdout={order}", "logger=csv", "out=sweep"
    )
    assert done.code == 2
    good = "01"[order.startswith("7")]  # the other job goes on
    named = [path.name for path in Path("sweep").iterdir() if path.name.isdecimal()]
    assert named == [good]
    assert Path(f"sweep/{good}/sampler/sampler.json").is_file()
    assert "Traceback" not in done.err
