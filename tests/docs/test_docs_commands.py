"""Every command in the README and in docs/ works.

What needs minutes, a GPU, a network or data that isn't there has its settings composed and checked
against every class that they name; the rest is really run, page by page, in a folder that holds
what the words in capitals stand for.
"""

import importlib
import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import yaml
from docs_pages import PAGES, ROOT, blocks, name, spans
from PIL import Image
from sklearn.datasets import load_digits

from synthgen.cli.build import build, check
from synthgen.cli.jobs.train import MODEL
from synthgen.cli.main import VERBS, main
from synthgen.data import Source
from synthgen.dataset.formats.images import Format
from synthgen.evaluation import Classifier, Extractor, Trial
from synthgen.io import config_dir
from synthgen.synthesis import Plan
from synthgen.training.data import Order
from synthgen.types import ImageSpec
from synthgen.visualize.base import Look

ROLES = {
    "data": Source,
    "model": MODEL,
    "order": Order,
    "plan": Plan,
    "format": Format,
    "judge": Classifier,
    "trial": Trial,
    "what": Look,
    "extractor": dict[str, Extractor],
}
IMAGES = {"cat": (0, 50), "dog": (1, 50), "owl": (2, 25)}  # class -> (digit, how many)
PREPARED = ("RUN", "SET", "REPORT", "REPORT2")
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
SCRIPTS = [path.read_text() for path in (ROOT / "scripts").glob("*.py")]
PACKAGE = "from torch.nn import Flatten\n\n\nclass Network(Flatten):\n    pass\n"
QUICK = ["extractor.classifier.steps=20", "judge.steps=10", "seeds=1", "logger=csv"]


class Done(NamedTuple):
    code: int
    err: str


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """PHOTOS, a run, its set and two reports, a folder of configs and a package of one's own."""
    folder = tmp_path_factory.mktemp("prepared")
    digits = load_digits()
    for cls, (digit, count) in IMAGES.items():
        (folder / "PHOTOS" / cls).mkdir(parents=True)
        for number, pixels in enumerate(digits.images[digits.target == digit][:count]):
            picture = Image.fromarray((pixels * 15).astype(np.uint8)).resize((12, 12))
            picture.save(folder / "PHOTOS" / cls / f"{number}.png")
    for sign in yaml.safe_load((config_dir() / "model" / "road_signs.yaml").read_text())["scenes"]:
        (folder / "SIGNPHOTOS" / sign).mkdir(parents=True)
        for number in range(12):
            picture = Image.effect_noise((16, 16), 50 + number).convert("RGB")
            picture.save(folder / "SIGNPHOTOS" / sign / f"{number}.png")
    (folder / "mypackage.py").write_text(PACKAGE)
    photos = ["data=image_folder", "data.root=PHOTOS"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_MODE", "disabled")
        run = ["train", *photos, "model=vae", "max_images=64", "out=RUN", "logger=csv"]
        drawn = ["synthesize", "sampler=RUN", "plan.per_class=20", "out=SET", "logger=csv"]
        report = ["evaluate", *photos, "synthetic=SET", *QUICK]
        other = [*report, "out=REPORT2", "judge.width=8"]
        for command in (run, drawn, [*report, "out=REPORT"], other):
            assert main(command) == 0
    return folder


@pytest.fixture
def here(prepared, tmp_path, monkeypatch):
    """A copy of ``prepared`` to work in."""
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    return folder


def with_commands_to_run(page: Path) -> bool:
    return any(block.what == "run" and block.language in ("sh", "python") for block in blocks(page))


def split(words: list[str]) -> tuple[str, list[str]]:
    """The verb and its arguments."""
    two = " ".join(words[1:3])
    return (two, words[3:]) if two in VERBS else (words[1], words[2:])


def as_one_process(words: list[str]) -> list[str]:
    """A command of ``torchrun``, ``srun`` or ``sbatch`` without what it starts it with."""
    if words[0] == "sbatch":
        assert "synthgen train" in (ROOT / words[1]).read_text()
        return ["synthgen", "train", *words[2:]]
    if words[0] in ("torchrun", "srun"):
        start = next(at for at, word in enumerate(words) if word.endswith("synthgen"))
        return ["synthgen", *words[start + 1 :]]
    return words


def check_other(words: list[str]) -> None:
    """A command that isn't ours names targets, files and options that there are."""
    match words:
        case ["make", *rest]:
            asked = [word for word in rest if "=" not in word]
            assert asked
            assert set(asked) <= set(TARGETS), words
        case ["source", ".venv/bin/activate"]:
            pass
        case ["python", script, *rest]:
            check_script(ROOT / script, rest)
        case ["pytest", *rest]:
            assert [(ROOT / one).is_file() for one in rest if not one.startswith("-")] == [True]
        case ["wandb", "sweep", file]:
            assert (ROOT / file).is_file()
        case ["wandb", "agent", "ENTITY/PROJECT/ID"]:
            pass
        case ["mkdocs", "serve"] | ["mkdocs", "build", "--strict"]:
            assert (ROOT / "mkdocs.yml").is_file()
        case ["pip", "install", "."] | ["pip", "install", "-e", "."]:
            assert (ROOT / "pyproject.toml").is_file()
        case ["pip", "install", *packages]:
            extras = (ROOT / "pyproject.toml").read_text()
            assert [one for one in packages if f'"{one}>=' not in extras] == []
        case _:
            pytest.fail(f"no test knows how to check {shlex.join(words)}")


def check_script(script: Path, arguments: list[str]) -> None:
    text = script.read_text()
    for word in arguments:
        if word.startswith("--"):
            listed = 'f"--{' in text and any(f'"{word[2:]}"' in one for one in SCRIPTS)
            assert f'"{word}"' in text or listed, (script.name, word)
    taken = "sys.argv" in text or '"sets"' in text
    free = [word for word in arguments if re.match(r"[\w]+=", word)]
    assert taken or not free, (script.name, free)


def make_way(arguments: list[str], written: set[str]) -> None:
    """Remove what the page writes itself; what it wrote before is its own affair."""
    for word in arguments:
        key, _, value = word.partition("=")
        if key == "out":
            if value in PREPARED and value not in written:
                shutil.rmtree(value)
            written.add(value)


def composed(words: list[str], capsys, monkeypatch) -> Done:
    """The verb with its job replaced by a check of everything that its settings name."""
    verb, arguments = split(words)
    job = importlib.import_module(f"synthgen.cli.jobs.{verb.replace(' ', '_')}")
    launcher = [word for word in arguments if word.startswith(("hydra/launcher", "hydra.launcher"))]
    arguments = [word for word in arguments if word not in launcher]  # others run elsewhere
    if launcher:
        assert main([*verb.split(" "), *launcher, "--cfg", "hydra"]) == 0
    if "hydra/sweeper=optuna" in arguments:
        arguments.append("hydra.sweeper.n_trials=2")
    sweeps = any(word in ("-m", "--multirun") for word in arguments)
    seen = []

    def look_only(settings, _):
        seen.append(settings)
        check_named(settings)
        return Path("composed")

    with monkeypatch.context() as patch:
        patch.setattr(job, "run", look_only)
        patch.setattr("synthgen.cli.application.value_of", lambda *_: 0.0)
        patch.setattr("synthgen.cli.application._processes_to_start", lambda *_: 1)
        capsys.readouterr()
        code = main([*verb.split(" "), *arguments])
    if not code and "--cfg" not in arguments:
        assert len(seen) > 1 if sweeps else len(seen) == 1
    return Done(code, capsys.readouterr().err)


def check_named(settings) -> None:
    """Classes, names and values exist; the parts of a model go together."""
    for place, role in ROLES.items():
        node = getattr(settings, place, None)
        if node:
            check(node, key=place, role=role, allow=settings.allow)
    if getattr(settings, "model", None):
        facts = {"image": ImageSpec(3, 32, 32, ("a", "b")), "training_images": 100}
        try:
            with torch.device("meta"):
                build(settings.model, key="model", role=MODEL, allow=settings.allow, facts=facts)
        except RuntimeError:  # a constructor that looks at its values
            pass


@pytest.mark.parametrize("page", list(filter(with_commands_to_run, PAGES)), ids=name)
def test_commands_that_are_quick_are_run(page, here, capsys):
    written: set[str] = set()
    for block in blocks(page):
        if block.what == "file":
            place_file(block)
        elif block.what == "run" and block.language == "python":
            exec(compile(block.text, name(page), "exec"), {})
        elif block.what == "run" and block.language == "sh":
            for words in block.commands:
                if words[0] != "synthgen":
                    check_other(words)
                    continue
                verb, arguments = split(words)
                make_way(arguments, written)
                capsys.readouterr()
                code = main([*verb.split(" "), *arguments, *block.further(verb)])
                assert code in block.codes, (shlex.join(words), capsys.readouterr().err)


def place_file(block) -> None:
    Path(block.file).parent.mkdir(parents=True, exist_ok=True)
    Path(block.file).write_text(block.text)


def with_commands_to_compose(page: Path) -> bool:
    return any(block.what == "compose" for block in blocks(page))


@pytest.mark.parametrize("page", list(filter(with_commands_to_compose, PAGES)), ids=name)
def test_other_commands_have_settings_that_there_are(page, here, capsys, monkeypatch):
    for block in blocks(page):
        if block.what == "file":
            place_file(block)
        for words in block.commands if block.what == "compose" else ():
            look_at(as_one_process(words), capsys, monkeypatch)


def look_at(words, capsys, monkeypatch) -> None:
    if words[0] != "synthgen":
        check_other(words)
    else:
        done = composed(words, capsys, monkeypatch)
        assert done.code == 0, (shlex.join(words), done.err)


def within_lines(page: Path) -> list[str]:
    """Whole commands in the text, not synopses, nor a verb alone."""
    programs = ("synthgen ", "make ", "python ", "pytest ", "pip ", "mkdocs ")
    whole = [one for one in spans(page) if "…" not in one and one.startswith(programs)]
    return [one for one in whole if one.split(" ", 1)[1] not in (*VERBS, "VERB --help")]


@pytest.mark.parametrize("page", list(filter(within_lines, PAGES)), ids=name)
def test_commands_within_lines_have_settings_that_there_are(page, here, capsys, monkeypatch):
    for command in within_lines(page):
        look_at(shlex.split(command), capsys, monkeypatch)


def test_a_command_with_a_wrong_setting_option_or_class_is_noticed(here, capsys, monkeypatch):
    wrong = (
        "synthgen train modle=gan",
        "synthgen train model=gann",
        "synthgen train model=gan model.loss.nothing=1",
        "synthgen synthesize plan=fill",
        "synthgen run trial=standard trial.seeds=many",
    )
    for command in wrong:
        assert composed(shlex.split(command), capsys, monkeypatch).code == 2, command
    others = ("make nothing", "python scripts/zoo.py --nothing", "pytest tests/gone.py", "ls")
    for command in others:
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            check_other(shlex.split(command))


def test_every_command_is_run_or_composed():
    """No block of commands hides behind another language or mark."""
    for page in PAGES:
        for block in blocks(page):
            allowed = {
                "sh": {"run", "compose"},
                "python": {"run"},
                "text": {"usage", "run", "file"},
            }
            assert block.what in allowed.get(block.language, {"run", "file"}), block.text
            if block.language != "sh" and block.what != "usage":
                assert not re.search(r"^(synthgen|python|make|pip) ", block.text, re.MULTILINE)
