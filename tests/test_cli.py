"""The command line itself: finding verbs, composing, refusing, exit codes. No stage is run here
but ``data check``, the quickest."""

import os
import re
import subprocess
import sys

import pytest

import synthgen as package
from synthgen.cli.main import VERBS
from synthgen.cli.settings import SETTINGS

WORDS = {verb: verb.split() for verb in VERBS}


def test_help_names_every_verb(synthgen):
    for arguments in ((), ("--help",), ("-h",)):
        shown = synthgen(*arguments)
        assert shown.code == 0
        assert all(verb in shown.out for verb in VERBS)


def test_version(synthgen):
    assert synthgen("--version").out == f"synthgen {package.__version__}\n"


def test_every_verb_has_settings():
    assert set(VERBS) == set(SETTINGS)


HEAVY = {
    "torch", "numpy", "scipy", "sklearn", "torchvision", "pytorch_lightning", "matplotlib", "wandb",
    "pydantic", "PIL",
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "codes", "unneeded"),
    [
        (["--help"], 0, {*HEAVY, "hydra", "omegaconf", "yaml", "rich"}),
        (["train", "--help"], 0, {*HEAVY, "hydra", "omegaconf", "yaml", "rich"}),
        (["data", "check", "-h"], 0, {*HEAVY, "hydra", "omegaconf", "yaml", "rich"}),
        (["train", "model=vae", "--help"], 0, HEAVY),
        (["verify", "nowhere"], 2, HEAVY),
        (["models"], 0, HEAVY),
        (["models", "model", "--json"], 0, HEAVY),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_verb_imports_what_it_needs(command, codes, unneeded, tmp_path):
    """Modules are counted, not seconds: torch takes more than one by itself."""
    code = (
        "import sys; from synthgen.cli.main import main; "
        f"code = main({command}); "
        f"loaded = {unneeded} & set(sys.modules); "
        f"sys.exit(f'{{code}} {{loaded}}' if code != {codes} or loaded else 0)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_room_of_functions_named_like_modules():
    code = (
        "import synthgen.synthesis.regenerate, synthgen.synthesis.verify; "
        "from synthgen import synthesis; "
        "assert all(callable(getattr(synthesis, name)) for name in synthesis.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_its_help_and_its_config(synthgen, verb, tmp_path):
    assert "allow:" in synthgen(*WORDS[verb], "--help").out
    shown = synthgen(*WORDS[verb], "--cfg", "job", "--resolve")
    assert shown.code == 0, shown.err
    keys = re.findall(r"^(\w+):", shown.out, re.MULTILINE)
    assert sorted(keys) == sorted(SETTINGS[verb].__dataclass_fields__)
    assert not list(tmp_path.iterdir())


def test_the_command_line_is_quick_because_torch_is_not_imported():
    code = (
        "import sys; from synthgen.cli.main import main; "
        "codes = [main(['train', '--cfg', 'job']), main(['--help']), main(['trian'])]; "
        "heavy = {'torch', 'pytorch_lightning', 'wandb', 'sklearn'} & set(sys.modules); "
        "sys.exit(f'{codes} {heavy}' if codes != [0, 0, 2] or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "There is no verb 'trian'. Did you mean 'train'?"),
        (["data", "chek"], "There is no verb 'data'. Did you mean 'data check'?"),
        (["train", "sede=3"], "There is no setting 'sede'. Did you mean 'seed'?"),
        (["data", "check", "data.siz=8"], "'data.siz'. Did you mean 'data.size'?"),
        (["data", "check", "dta=mnist"], "There is no setting 'dta'. Did you mean 'data'?"),
        (["data", "check", "data=minst"], "There is no data=minst. Did you mean 'mnist'?"),
        (["data", "check", "+sizes=8"], "There is no setting 'sizes' here."),
        (["data", "check", "+data.siz=8"], "data.siz: synthgen.data.Digits has no 'siz'."),
        (["data", "check", "data.root=x"], "data=fashion_mnist, data=image_folder, data=mnist"),
        (["train", "model=vae", "model.discriminator_lr.value=1"], "model=biggan, model=reacgan"),
        (["train", "seed=abc"], "seed is 'abc', but must be a whole number from 0 to 2,097,151."),
        (["train", "seed=1.5"], "seed is 1.5, but must be a whole number from 0 to 2,097,151."),
        (["train", "max_time=long"], "max_time is 'long', but must be a number above 0 or null."),
        (["train", "allow=true"], "allow is True, but must be a list of texts."),
        (["train", "data=3"], "The arguments can't be combined: Config group override"),
        (["train", "data.size=big"], "data.size is 'big'"),
        (["synthesize"], "sampler must be given. Set it on the command line: sampler=VALUE"),
        (["compare"], "folders must be given."),
        (["evaluate", "trial.seeds=3"], "There is no trial to set trial.seeds of."),
        (["evaluate", "synthetic=x", "extractor=module"], "=PACKAGE.CLASS allow=[PACKAGE]"),
        (["data", "check", "data=mnist"], "data.root must be given."),
        (["train", "mnist"], "The argument 'mnist' can't be read."),
        (["train", "seed=1=2"], "The argument 'seed=1=2' can't be read."),
        (["train", "experiment=mnist_gann"], "Did you mean 'mnist_gan'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_two_lines(synthgen, tmp_path, arguments, said):
    refused = synthgen(*arguments)
    assert said in refused.err
    assert refused.code == 2
    assert 1 <= len(refused.err.splitlines()) <= 2
    assert refused.out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["os.system", "torch.hub.load", "synthgen.io.write_text"])
@pytest.mark.parametrize("key", ["data._target_", "+data.extra._target_"])
def test_a_config_can_not_run_code(synthgen, target, key):
    refused = synthgen("data", "check", f"{key}={target}")
    assert refused.code == 2
    assert "which a config may not build" in refused.err or "has no 'extra'" in refused.err


def test_the_last_line_is_the_folder_and_the_only_one(synthgen, tmp_path):
    done = synthgen("data", "check")
    assert done.code == 0, done.err
    assert done.out.count("\n") == 1
    assert (tmp_path / done.last_line / "check.json").is_file()
    assert re.fullmatch(r"runs/data-check-\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-\d{6}", done.last_line)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_an_existing_folder_is_left_as_it_is(synthgen, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    refused = synthgen("data", "check", "out=mine")
    assert refused.code == 2
    assert refused.err.startswith("mine already exists and was left as it is.\n")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_folder_of_any_name(synthgen, tmp_path):
    folder = tmp_path / "größe=8 (a), it's"
    done = synthgen("data", "check", f"out={folder}".replace(",", ""))
    assert done.code == 0, done.err
    assert done.last_line == str(folder).replace(",", "")


def test_a_multirun_numbers_its_folders(synthgen, tmp_path):
    done = synthgen("data", "check", "-m", "data.size=8,12", "out=sweep")
    assert done.code == 0, done.err
    assert done.out.splitlines() == ["sweep/0", "sweep/1"]
    assert (tmp_path / "sweep/1/check.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]


def test_a_failing_job_does_not_stop_a_multirun(synthgen, tmp_path):
    done = synthgen("data", "check", "-m", "data.size=big,8", "out=sweep")
    assert done.code == 2
    assert done.out.splitlines() == ["sweep/1"]


def test_configs_of_ones_own(synthgen, tmp_path):
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "data" / "small.yaml").write_text(
        "_target_: synthgen.data.Digits\nsize: 4\n"
    )
    done = synthgen("data", "check", "--config-dir", "mine", "data=small", "out=checked")
    assert done.code == 0, done.err


def test_a_bug_keeps_its_traceback_and_asks_to_be_reported(synthgen, monkeypatch):
    monkeypatch.setattr("synthgen.data.check", lambda *_: 1 / 0)
    monkeypatch.delitem(sys.modules, "synthgen.cli.jobs.data_check", raising=False)
    failed = synthgen("data", "check")
    assert failed.code == 1
    assert "Traceback" in failed.err
    assert failed.err.splitlines()[-1].startswith("This is a bug in synthgen: please report")


@pytest.mark.parametrize("command", ["--help", "train --help", "models model", "train --cfg job"])
def test_a_reader_that_leaves_is_no_bug(command):
    """As in ``synthgen models | head``."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "synthgen.cli.main", *command.split()],
        stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "Stopped."),
        (MemoryError(), 2, "There is not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 2, "memory"),
        (OSError(28, "No space left on device"), 2, "The disk is full."),
    ],
)
def test_what_can_befall_a_stage(synthgen, monkeypatch, error, code, said):
    def fail(source, labels):
        raise error

    monkeypatch.setattr("synthgen.data.check", fail)
    monkeypatch.delitem(sys.modules, "synthgen.cli.jobs.data_check", raising=False)
    failed = synthgen("data", "check")
    assert failed.code == code
    assert said in failed.err
    assert len(failed.err.splitlines()) <= 2


def test_the_process_is_left_as_it_was(synthgen, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pytest"])
    synthgen("train", "--cfg", "job")
    assert sys.argv == ["pytest"]
    assert "HYDRA_FULL_ERROR" not in os.environ
