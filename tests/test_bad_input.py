"""Bad input at the command line: one or two lines, a code other than 0, nothing lost or left half
written."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sklearn.datasets import load_digits

from synthgen.cli.application import require_own_place
from synthgen.errors import SynthgenError
from synthgen.images import to_pil
from synthgen.synthesis.room import Room

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def refused(outcome, *said):
    """``outcome`` is a refusal in one or two lines that say all of ``said``."""
    assert outcome.code not in (0, 1), outcome.err
    lines = [line for line in outcome.err.splitlines() if "W&B" not in line]
    assert 1 <= len(lines) <= 2, outcome.err
    assert "Traceback" not in outcome.err
    for words in said:
        assert words in outcome.err
    return True


@pytest.fixture
def photos(tmp_path):
    """Eight real digits of each of two classes as PNG files."""
    import torch

    digits = load_digits()
    for label in (3, 7):
        folder = tmp_path / "photos" / f"digit {label}"
        folder.mkdir(parents=True)
        chosen = digits.images[digits.target == label][:8]
        for number, pixels in enumerate(chosen):
            image = torch.from_numpy(pixels * 255 / 16).to(torch.uint8)[None]
            to_pil(image).save(folder / f"{number}.png")
    return tmp_path / "photos"


def train(synthgen, root, *more):
    return synthgen(
        "train", "data=image_folder", f"data.root={root}", "model=pca_gaussian", "logger=csv",
        "out=run", *more,
    )  # fmt: skip


@pytest.fixture
def trained(synthgen, photos):
    done = train(synthgen, photos)
    assert done.code == 0, done.err
    return Path("run")


def nothing_written(folder, *known):
    return {path.name for path in folder.iterdir()} == {"photos", *known}


def test_good_photos_are_accepted(trained):
    assert (trained / "sampler" / "sampler.json").is_file()


def test_a_missing_folder(synthgen, photos, tmp_path):
    assert refused(train(synthgen, photos / "nowhere"), "nowhere does not exist")
    assert nothing_written(tmp_path)


def test_an_empty_folder(synthgen, photos, tmp_path):
    (tmp_path / "photos" / "empty").mkdir()
    assert refused(train(synthgen, photos / "empty"), "empty")
    assert nothing_written(tmp_path)


def test_a_class_with_one_image(synthgen, photos, tmp_path):
    (photos / "rare").mkdir()
    shutil.copy(photos / "digit 3" / "0.png", photos / "rare" / "0.png")
    assert refused(train(synthgen, photos), "'rare' (1)")
    assert nothing_written(tmp_path)


@pytest.mark.parametrize("keep", [0, 20, 60])
def test_a_corrupt_file(synthgen, photos, tmp_path, keep):
    broken = photos / "digit 3" / "2.png"
    broken.write_bytes(broken.read_bytes()[:keep])
    assert refused(train(synthgen, photos), "2.png")
    assert nothing_written(tmp_path)


def test_a_file_of_an_unknown_kind_among_the_images(synthgen, photos, tmp_path):
    (photos / "digit 3" / "notes.bin").write_text("do not use 2.png")
    outcome = train(synthgen, photos)
    assert refused(outcome, "notes.bin")
    assert nothing_written(tmp_path)


def test_mixed_sizes_and_modes_are_no_error(synthgen, photos):
    from PIL import Image

    picture = Image.open(photos / "digit 3" / "1.png")
    picture.resize((20, 12)).save(photos / "digit 3" / "1.png")
    picture.convert("RGB").save(photos / "digit 3" / "2.png")
    checked = synthgen("data", "check", "data=image_folder", f"data.root={photos}", "out=checked")
    assert checked.code == 0
    found = json.loads(Path("checked/check.json").read_text())["findings"]
    assert {finding["kind"] for finding in found} >= {"odd_size", "mixed_mode"}
    assert train(synthgen, photos).code == 0


def test_an_out_that_exists(synthgen, photos, trained):
    before = sorted(path.name for path in trained.rglob("*"))
    assert refused(train(synthgen, photos), "run already exists and was left as it is.")
    assert sorted(path.name for path in trained.rglob("*")) == before


def test_no_sampler(synthgen, tmp_path):
    assert refused(synthgen("synthesize", "sampler=nowhere", "out=set"), "no sampler in nowhere")
    assert not list(tmp_path.iterdir())


def test_a_truncated_sampler(synthgen, trained):
    weights = trained / "sampler" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert refused(synthgen("synthesize", f"sampler={trained}", "out=set"), "weights.safetensors")
    assert not Path("set").exists()


def test_a_tampered_sampler(synthgen, trained):
    path = trained / "sampler" / "sampler.json"
    description = json.loads(path.read_text())
    description["sampler"]["_target_"] = "os.system"
    path.write_text(json.dumps(description))
    assert refused(synthgen("synthesize", f"sampler={trained}", "out=set"), "sampler.json")
    assert not Path("set").exists()


def test_a_forged_sampler_with_a_right_hash(synthgen, trained):
    from synthgen.io import canonical_digest

    path = trained / "sampler" / "sampler.json"
    description = json.loads(path.read_text())
    description["sampler"] = {"_target_": "os.system", "command": "touch hacked"}
    del description["sha256"]
    path.write_text(json.dumps({**description, "sha256": canonical_digest(description)}))
    assert refused(synthgen("synthesize", f"sampler={trained}", "out=set"), "os.system")
    assert not Path("hacked").exists()


@pytest.mark.parametrize("key", ["model", "plan", "judge", "data"])
def test_a_target_of_os_system(synthgen, tmp_path, key):
    outcome = synthgen("run", "model=pca_gaussian", "logger=csv", f"{key}._target_=os.system")
    assert refused(outcome, f"{key}._target_ is os.system, which a config may not build.")


def test_a_resumed_config_can_neither_run_code_nor_allow_it(synthgen, trained):
    config = trained / "config.yaml"
    text = config.read_text().replace("synthgen.samplers.PCAGaussian", "os.system")
    assert "os.system" in text
    config.write_text(text + "allow: [os]\n")
    assert refused(synthgen("train", f"resume={trained}"), "os.system")


def test_nothing_to_resume(synthgen, tmp_path):
    assert refused(synthgen("train", "resume=nowhere"), "no run to resume in nowhere")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", ["max_images=-5", "max_images=0", "max_time=0", "max_time=nan"])
@pytest.mark.parametrize("verb", ["train", "run"])
def test_a_limit_that_no_training_reaches(synthgen, tmp_path, verb, limit):
    outcome = synthgen(verb, "model=vae", "logger=csv", limit, "out=run")
    assert refused(outcome, limit.split("=")[0], "but must be a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["model=vae", "data.size=16", "seed=3", "experiment=demo"])
def test_resuming_with_other_settings(synthgen, trained, change):
    key = change.split("=")[0].split(".")[0]
    assert refused(synthgen("train", f"resume={trained}", change), f"{key} can't be changed")


def test_a_damaged_config(synthgen, trained):
    (trained / "config.yaml").write_text("seed: [")
    assert refused(synthgen("train", f"resume={trained}"), "config.yaml is damaged")


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "", ".hidden"])
def test_a_class_name_that_is_no_folder_name(synthgen, photos, tmp_path, name):
    rows = [f"{path},{name}" for path in sorted(photos.rglob("*.png"))]
    (tmp_path / "photos.csv").write_text("\n".join(["path,label", *rows]))
    outcome = synthgen(
        "train", "data=csv", "data.path=photos.csv", "model=pca_gaussian", "logger=csv", "out=run"
    )
    assert refused(outcome, "photos.csv" if name == "" else repr(name))
    assert nothing_written(tmp_path, "photos.csv")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/sys is Linux's")
@pytest.mark.parametrize("verb", ["train", "data check"])
def test_a_read_only_folder(synthgen, verb):
    outcome = synthgen(*verb.split(), "out=/sys/synthgen", *(
        ["model=pca_gaussian"] if verb == "train" else []
    ))  # fmt: skip
    assert outcome.code == 2
    assert "Could not write /sys/synthgen" in outcome.err
    assert "Choose another out=" in outcome.err.splitlines()[-1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/sys is Linux's")
@pytest.mark.parametrize("verb", ["evaluate", "run"])
def test_a_cache_that_nothing_can_be_written_to(synthgen, tmp_path, monkeypatch, verb):
    """Said before the data are read."""
    monkeypatch.setattr("synthgen.cli.jobs.evaluate.build_source", None)
    monkeypatch.setattr("synthgen.cli.jobs.train.build_source", None)
    given = ["synthetic=x"] if verb == "evaluate" else ["model=noise"]
    outcome = synthgen(verb, *given, "cache=/sys/synthgen", "logger=csv", "out=x")
    assert refused(outcome, "Could not write /sys/synthgen", "Choose another cache= and run again")
    assert not list(tmp_path.iterdir())


def test_a_full_disk(synthgen, trained, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("synthgen.io.os.fsync", full)
    outcome = synthgen("synthesize", f"sampler={trained}", "out=set", "logger=csv")
    assert outcome.code == 2
    assert "the disk is full" in outcome.err.splitlines()[-1]  # below the plan
    assert {path.name for path in Path().iterdir()} == {"photos", "run"}


def test_a_synthetic_set_of_other_classes(synthgen, trained, photos):
    outcome = synthgen("evaluate", "data=digits", f"synthetic={photos}", "out=report")
    assert refused(outcome, "digit 3")
    assert not Path("report").exists()


def test_other_data_than_the_generator_saw(synthgen, photos, trained):
    drawn = synthgen(
        "synthesize", f"sampler={trained}", "plan.per_class=6", "out=set", "logger=csv"
    )
    assert drawn.code == 0, drawn.err
    (photos / "digit 3" / "7.png").unlink()
    outcome = synthgen(
        "evaluate", "data=image_folder", f"data.root={photos}", "synthetic=set", "out=report"
    )
    assert refused(outcome, "test images could have been trained on")
    assert not Path("report").exists()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_ctrl_c_keeps_the_last_state_and_says_how_to_go_on(synthgen, number):
    command = [sys.executable, "-m", "synthgen.cli.main", "run", "model=vae", "max_time=3"]
    with subprocess.Popen(
        [*command, "model.batch_size=16", "logger=csv", "out=run", "trainer.previews=1000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 90
        while not list(Path("run").glob("samples/*.png")) and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == "Go on with: synthgen run resume=run"
    assert "Traceback" not in err
    assert Path("run/checkpoints/last.ckpt").is_file()
    gone_on = synthgen("train", "resume=run", "max_images=16")
    assert gone_on.code == 0, gone_on.err
    assert Path("run/sampler/sampler.json").is_file()


def test_ctrl_c_between_stages_of_a_run(synthgen, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("synthgen.cli.jobs.evaluate.evaluate", interrupt)
    stopped = synthgen("run", "model=noise", "out=my run", "plan.per_class=2", "logger=csv")
    assert stopped.code == 130
    assert stopped.err.endswith("Go on with: synthgen run 'resume=my run'\n")
    assert {path.name for path in Path("my run").iterdir()} >= {"sampler", "synthetic"}
    assert not Path("my run/report").exists()


def test_a_loss_that_is_no_number(synthgen):
    stopped = synthgen(
        "train", "model=vae", "model.batch_size=16", "logger=csv", "out=run", "max_images=100000",
        "model.lr._target_=synthgen.training.Constant", "~model.lr.start",
        "~model.lr.end", "+model.lr.value=1e30",
    )  # fmt: skip
    assert stopped.code == 2
    assert "images" in stopped.err.splitlines()[-2]
    assert not Path("run/sampler").exists()


def test_a_name_of_300_letters(synthgen, trained):
    for verb in ("train", "synthesize", "evaluate", "look", "data check"):
        given = {"synthesize": "sampler=run", "evaluate": "synthetic=photos", "look": "sampler=run"}
        settings = [f"out={'x' * 300}", *([given[verb]] if verb in given else [])]
        outcome = synthgen(*verb.split(), *settings)
        assert outcome.code == 2
        assert "Traceback" not in outcome.err
        assert "too long" in outcome.err.lower()
        assert all(len(line) < 400 for line in outcome.err.splitlines())


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("trainer.accelerator=nosuch", "one of auto, cpu"),
        ("trainer.accelerator=tpu", "one of auto, cpu"),
        ("trainer.accelerator=mps", "torch finds none here"),
        ("trainer.strategy=fsdp", "trainer.strategy"),
        ("trainer.devices=0", "trainer.devices is 0"),
        ("trainer.num_nodes=2", "trainer.num_nodes=2"),
        ("seed=-1", "seed is -1"),
        ("seed=12345678901234567890", "from 0 to 2,097,151"),
        ("allow=[nosuch]", "allow names 'nosuch'"),
        ("allow=[../x]", "allow names '../x'"),
        ("model.lr.start=-1", "model.lr is -1.0 at progress 0"),
        ("model.generator.patch=3", "patch 3 does not divide images of 8 x 8"),
        ("model.generator_optimizer.betas=[-1,2]", "model.generator_optimizer: Invalid beta"),
        ("model.batch_size=1e11", "model.batch_size is 100000000000.0"),
        ("model.generator.width=16384 model.generator.max_width=16384", "this machine has"),
        ("order._target_=torch.nn.ReLU", "order"),
    ],
)
def test_a_value_that_means_nothing(synthgen, tmp_path, setting, said):
    import torch

    if "mps" in setting and torch.backends.mps.is_available():
        pytest.skip("here it means something")
    outcome = synthgen("train", "logger=csv", "max_images=64", "out=run", *setting.split())
    assert outcome.code == 2
    assert said in "\n".join(outcome.err.splitlines()[-2:])
    assert "Traceback" not in outcome.err
    assert not list(tmp_path.iterdir())


LATER = [  # one bad setting of each stage and group after the training
    ("device=nosuch", "device='nosuch' is unknown"),
    ("temperature=2", "has no latents"),
    ("attempts=0", "attempts is 0"),
    ("plan=per_class +plan.per_class.nine=3", "'nine'"),
    ("format=jpeg format.quality=101", "format.quality is 101"),
    ("filter=[low_density] filter.low_density.keep_real=2", "keep_real is 2"),
    ("extractor=[torchvision] extractor.torchvision.weights=nowhere", "weights are not at nowhere"),
    ("judge=resnet56 judge.depth=57", "depth must be"),
    ("judge.width=0", "judge.width is 0"),
    ("trial=reduced trial.endpoint=nosuch", "endpoint"),
    ("trial=reduced trial.baseline=nosuch", "trial.baseline is 'nosuch'"),
    ("trial=reduced trial.tail=[nosuch]", "trial.tail names nosuch"),
    ("trial=reduced trial.scenarios=[nosuch]", "scenarios names nosuch"),
    ("trial=reduced +trial.augmentations.x=3", "trial.augmentations"),
    ("cache=taken", "cache=taken is a file"),
    ("cache=taken/below", "a part of the path is a file, not a folder. Choose another cache="),
    ("review=1", "too few for a review"),
    ("seeds=0", "seeds is 0"),
    ("extractor=[]", "'extractor' is missing"),
    ("fail_on=harmed", "fail_on needs a verdict"),
]


@pytest.mark.parametrize(("setting", "said"), LATER, ids=[setting for setting, _ in LATER])
def test_a_run_finds_what_later_stages_refuse_before_it_trains(
    synthgen, tmp_path, monkeypatch, setting, said
):
    def trained(*args, **kwargs):
        raise AssertionError("trained first")

    monkeypatch.setattr("synthgen.cli.jobs.train.train", trained)
    Path("taken").write_text("")
    outcome = synthgen("run", "model=pca_gaussian", "logger=csv", "out=run", *setting.split())
    assert outcome.code == 2, outcome.err
    assert said in "\n".join(outcome.err.splitlines()[-2:])
    assert {path.name for path in tmp_path.iterdir()} == {"taken"}


@pytest.mark.parametrize("form", ["png", "npz"])
def test_a_set_that_the_disk_has_no_room_for_is_refused_before_the_training(
    synthgen, tmp_path, monkeypatch, form
):
    monkeypatch.setattr("synthgen.synthesis.room.free", lambda folder: Room(57e9, 10**7))
    outcome = synthgen(
        "run", "model=noise", "logger=csv", "out=run", f"format={form}", "plan.per_class=4e8"
    )
    assert refused_at_last(outcome, "and the disk of run has 57.0 GB left")
    assert not list(tmp_path.iterdir())


def test_a_run_asks_the_untrained_model_about_latents(synthgen):
    outcome = synthgen(
        "run", "model=vq_vae", "logger=csv", "out=run", "truncation=1", "max_images=64"
    )
    assert refused_at_last(outcome, "truncation means nothing")
    assert not Path("run").exists()


def refused_at_last(outcome, said):
    """As :func:`refused`, below notes on the data."""
    assert outcome.code == 2, outcome.err
    assert "Traceback" not in outcome.err
    return said in "\n".join(outcome.err.splitlines()[-2:])


def test_a_file_where_a_folder_is_meant(synthgen, photos):
    (photos / "set.txt").write_text("no set")
    assert refused(synthgen("verify", "photos/set.txt"), "photos/set.txt")


def test_a_device_that_is_not_there(synthgen, trained, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert refused(synthgen("look", "sampler=run", "device=cuda", "out=x"), "torch finds no GPU")
    assert refused(synthgen("look", "sampler=run", "device=abacus", "out=x"), "is unknown")


def test_a_sampler_that_no_trial_asks_for(synthgen, trained):
    outcome = synthgen(
        "evaluate", "data=digits", "synthetic=photos", "sampler=nowhere", "logger=csv", "out=x"
    )
    assert refused(outcome, "no sampler in nowhere")


@pytest.mark.parametrize("mode", ["of fline", "nosuch"])
def test_a_mode_that_wandb_lacks(synthgen, tmp_path, monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    outcome = synthgen("train", "model=noise", "logger=wandb", "out=run")
    assert refused_at_last(outcome, f"WANDB_MODE is {mode!r}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["npz", "medmnist"])
def test_one_array_where_several_are_meant(synthgen, tmp_path, source):
    import numpy as np

    np.save("a.npy", np.zeros((4, 8, 8), dtype=np.uint8))
    for verb in ("data check", "train"):
        outcome = synthgen(*verb.split(), f"data={source}", "data.path=a.npy", "out=x")
        assert refused(outcome, "a.npy is a single .npy array")


EMPTY = [
    ("train out=", "out"), ("train resume=", "resume"), ("verify folder=", "folder"),
    ("train data=image_folder data.root=", "data.root"), ("synthesize sampler=", "sampler"),
    ("evaluate synthetic=", "synthetic"), ("evaluate synthetic=x cache=", "cache"),
    ("compare folders=[photos,'']", "folders"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "key"), EMPTY, ids=[line for line, _ in EMPTY])
def test_an_empty_path_is_not_the_folder_that_one_is_in(synthgen, tmp_path, line, key):
    assert refused(synthgen(*line.split()), f"{key} is empty.")
    assert not list(tmp_path.iterdir())


TYPED = [
    ("train --seed=3", "unrecognized arguments: --seed=3"),
    ("train --shell-completion query=bash", "There is no completion for shells"),
    ("train -sc install=bash", "There is no completion for shells"),
    ("train --cfg nosuch", "invalid choice: 'nosuch'"),
    ("train model=VAE", "There is no model=VAE. Did you mean 'vae'?"),
    ("train Max_Images=3", "There is no setting 'Max_Images'. Did you mean 'max_images'?"),
    ("train model=null", "model is needed"),
    ("evaluate synthetic=x judge=null", "judge is needed"),
    ("evaluate synthetic=x trial=null", "Leave it out: then no trial is chosen"),
    ("train gan/loss=hinge", "For example gan/loss@model.loss=OPTION"),
    ("synthesize sampler=x filter=[nosuch]", "The options are label_agreement, low_density"),
    ("evaluate synthetic=x extractor=[inceptin]", "Did you mean 'inception'?"),
    ("train out=a\0b", "out is 'a\\x00b', but must be text"),
    ("evaluate synthetic=x trial=reduced trial.minimum_difference=2", "from 0 to 1"),
]


@pytest.mark.parametrize(("line", "said"), TYPED, ids=[repr(line) for line, _ in TYPED])
def test_what_was_typed_wrong_is_named_in_two_lines(synthgen, tmp_path, line, said):
    (tmp_path / "x" / "a").mkdir(parents=True)
    assert refused(synthgen(*line.split(" ")), said)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.fixture
def drawn(synthgen, trained):
    done = synthgen("synthesize", "sampler=run", "plan.per_class=2", "out=set", "logger=csv")
    assert done.code == 0, done.err
    return Path("set")


WRITING = {
    "train": ["model=noise"], "run": ["model=noise"], "synthesize": ["sampler=run"],
    "look": ["sampler=run"], "evaluate": ["synthetic=set"], "review": ["synthetic=set"],
    "compare": ["set"], "data check": [],
}  # fmt: skip


def test_no_verb_writes_into_a_set_or_into_what_a_run_keeps(synthgen, drawn):
    before = sorted(Path().rglob("*"))
    for number, (verb, given) in enumerate(WRITING.items()):
        place = ("set/x/y", "run/sampler/x", "run/checkpoints/x", "run/report/x")[number % 4]
        outcome = synthgen(*verb.split(), *given, f"out={place}")
        assert refused(outcome, f"out={place} lies inside ")
    with pytest.raises(SynthgenError, match="where the run run keeps"):
        require_own_place(Path("run/samples/x"))
    with pytest.raises(SynthgenError, match="lies inside the set "):
        require_own_place(Path("set/x"))
    assert sorted(Path().rglob("*")) == before
    assert synthgen("verify", "set").code == 0


def test_an_unfinished_set_and_the_default_place_are_no_exceptions(synthgen, drawn, monkeypatch):
    Path("begun/.synthgen").mkdir(parents=True)
    Path("begun/.synthgen/job.json").write_text("{}")
    assert refused(synthgen("look", "sampler=run", "out=begun/x"), "lies inside the set ")
    monkeypatch.chdir("set")
    assert refused(synthgen("look", "sampler=../run"), "lies inside the set ")
    assert synthgen("verify", ".").code == 0


def test_beside_a_set_and_in_a_run_there_is_place(synthgen, drawn):
    assert synthgen("look", "sampler=run", "out=run/look").code == 0
    Path("dataset.json").write_text('{"format": "of another program"}')
    Path("config.yaml").write_text("seed: 3")
    assert synthgen("look", "sampler=run", "out=report/look").code == 0
    assert refused(synthgen("look", "sampler=run", "out=run/look"), "already exists")


NO_USE = [
    ("models out=x", "There is no setting 'out' of this verb"),
    ("verify photos out=x", "There is no setting 'out' of this verb"),
    ("verify photos logger=csv", "These have it: train, synthesize, evaluate, compare, run."),
    ("look sampler=x logger=wandb", "There is no setting 'logger' of this verb"),
    ("review synthetic=x logger=wandb", "There is no setting 'logger' of this verb"),
    ("data check logger=wandb", "There is no setting 'logger' of this verb"),
    ("look sampler=x plan.per_class=3", "These have it: synthesize, run."),
    ("train judge.steps=3", "There is no setting 'judge.steps' of this verb"),
    ("train plan.per_class=3", "There is no setting 'plan.per_class' of this verb"),
    ("train plan=balanced", "There is no setting 'plan' here"),
]


@pytest.mark.parametrize(("line", "said"), NO_USE, ids=[line for line, _ in NO_USE])
def test_a_setting_that_the_verb_has_no_use_for(synthgen, tmp_path, line, said):
    assert refused(synthgen(*line.split(" ")), said)
    assert not list(tmp_path.iterdir())


def test_a_url_without_a_place(synthgen, trained):
    assert refused_at_last(synthgen("synthesize", "sampler=run", "out=s3://"), "names no place")


def test_pictures_of_no_class(synthgen, trained):
    outcome = synthgen("look", "sampler=run", "what.classes=[]", "out=x")
    assert refused(outcome, "what.classes names no class")
    assert not Path("x").exists()


def test_shares_of_nothing(synthgen, trained):
    outcome = synthgen(
        "synthesize", "sampler={a: run, b: run}", "shares={a: 0, b: 0}", "logger=csv", "out=x"
    )
    assert refused(outcome, "All shares are 0")


def test_answers_that_are_no_file(synthgen, tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("pipes are POSIX")
    os.mkfifo("pipe")
    assert refused(synthgen("review", "answers=pipe", "key=pipe", "out=x"), "is a pipe")


SEEDED = {
    "train": [], "run": [], "synthesize": ["sampler=x"], "look": ["sampler=x"],
    "evaluate": ["synthetic=x"], "review": ["synthetic=x"],
}  # fmt: skip


@pytest.mark.parametrize("verb", SEEDED)
@pytest.mark.parametrize("seed", ["-1", "2097152", "12345678901234567890", "1.5", "nan", "null"])
def test_seeds_have_the_same_limits_everywhere(synthgen, verb, seed):
    outcome = synthgen(verb, *SEEDED[verb], f"seed={seed}", "out=x")
    assert refused(outcome, "seed is ", "a whole number from 0 to 2,097,151")
