"""Training by several processes, through the command line as people type it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow  # each process takes seconds to start

TINY = (
    "model=vae", "model.density=null", "model.batch_size=64", "logger=csv", "trainer.previews=1",
    "trainer.checkpoint_minutes=0",
)  # fmt: skip
TWO = "trainer.devices=2"
# Adam divides by the root of what may be all rounding: this is from what size on a gradient counts.
EPS = {
    "gan": ("+model.generator_optimizer.eps=1e-3", "+model.discriminator_optimizer.eps=1e-3"),
    "vae": ("+model.optimizer.eps=1e-3",),
}


@pytest.fixture
def begin(tmp_path):
    """``begin("train", …)``: the command in a folder of the test's own, as a process."""
    begun = []

    def start(*arguments, launcher=(sys.executable, "-m"), **environment):
        process = subprocess.Popen(
            [*launcher, "synthgen.cli.main", *arguments],
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(made(tmp_path.parent / f"{tmp_path.name}-tmp")),
                 **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )  # fmt: skip
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def made(folder):
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def outcome(begin):
    def run(*arguments, **options):
        process = begin(*arguments, **options)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    return run


def weights(run):
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if "clock" not in name}


def largest_difference(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def children(process):
    """Process ids by rank."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
            variables = path.read_bytes().split(b"\0")
        except OSError:
            continue
        ranks = [one[5:] for one in variables if one.startswith(b"RANK=")]
        if parent == process.pid and ranks:
            found[int(ranks[0])] = int(path.parent.name)
    return found


def until_begun(process, run):
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("model", ["gan", "vae"])
def test_two_processes_compute_what_one_does(outcome, tmp_path, model):
    line = ("train", *TINY[2:5], f"model={model}", *EPS[model], "max_images=320")
    code, _, err = outcome(*line, "out=one")
    assert code == 0, err
    code, out, err = outcome(*line, "out=two", TWO)
    assert (code, out) == (0, "two\n"), err
    assert err.count("8 × 8 (height × width)") == 1
    assert largest_difference(tmp_path / "one", tmp_path / "two") < 1e-5
    assert {p.name for p in (tmp_path / "two").iterdir()} == {
        p.name for p in (tmp_path / "one").iterdir()
    }
    record = json.loads((tmp_path / "two" / "training.json").read_text())
    assert (record["processes"], record["batch_size"], record["images_seen"]) == (2, 64, 320)
    assert list(Path("/dev/shm").glob("synthgen-images-*")) == []


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_and_the_run_goes_on_as_one_and_as_two(
    begin, outcome, tmp_path, rank
):
    process = begin("train", *TINY, "max_images=100000000", "out=run", TWO)
    until_begun(process, tmp_path / "run")
    ranks = children(process)
    assert ranks.keys() == {0, 1}
    os.kill(ranks[rank], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    assert f"Process {rank} of 2 was ended by SIGKILL." in err
    assert "Go on with: synthgen train resume=run" in err
    assert "Traceback" not in err
    assert not any(alive(pid) for pid in ranks.values())

    seen = int(torch.load(tmp_path / "run/checkpoints/last.ckpt")["state_dict"]["clock._images"])
    code, _, err = outcome(
        "train", "resume=run", f"max_images={seen + 128}", f"trainer.devices={2 - rank}"
    )
    assert code == 0, err
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    assert record["images_seen"] == seen + 128
    assert record.get("processes") == (2 if rank == 0 else None)


def test_from_two_to_one_and_back_is_the_same_run(outcome, tmp_path):
    line = ("train", *TINY, *EPS["vae"])
    assert outcome(*line, "max_images=384", "out=whole")[0] == 0
    assert outcome(*line, "max_images=128", "out=parts", TWO)[0] == 0
    resume = ("train", "resume=parts")
    code, _, err = outcome(*resume, "max_images=256", "trainer.devices=1")
    assert code == 0, err
    code, _, err = outcome(*resume, "max_images=384", TWO)
    assert code == 0, err
    assert largest_difference(tmp_path / "whole", tmp_path / "parts") < 1e-5


def test_ctrl_c_saves_and_says_how_to_go_on(begin, tmp_path):
    process = begin("train", *TINY, "max_images=100000000", "out=run", TWO)
    until_begun(process, tmp_path / "run")
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.count("Go on with: synthgen train resume=run") == 1
    assert "Traceback" not in err
    assert err.count("Stopping after this batch") == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("data=image_folder", "data.root=nowhere"), "nowhere"),
        (("model.batch_size=63",), "model.batch_size=64"),
        (("model.nosuch=1",), "nosuch"),
        (("model=noise",), "fitted by one process"),
        (("out=taken",), "taken already exists"),
        (("trainer.strategy=ddp_spawn",), "Use trainer.strategy=ddp"),
        (("trainer.num_nodes=2",), "can't start processes on other machines"),
        (("trainer.accelerator=tpu",), "trainer.accelerator"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_mistake_ends_all_with_one_message(outcome, tmp_path, wrong, words):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    line = [one for one in TINY if one.split("=")[0] not in {x.split("=")[0] for x in wrong}]
    if "model=noise" in wrong:
        line = [one for one in line if not one.startswith("model.")]
    code, out, err = outcome("train", *line, "max_images=128", "out=new", *wrong, TWO)
    assert code == 2, err
    assert out == ""
    assert err.count(words) == 1
    assert len(err.strip().splitlines()) <= 3, err
    assert "Traceback" not in err
    assert {path.name for path in tmp_path.iterdir()} == {"taken"}
