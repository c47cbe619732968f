"""Config files that came from elsewhere can't run code, nor allow it.

``Flag`` stands for code of a stranger: building it, or importing its module, leaves a file behind.
"""

import sys
from pathlib import Path

import pytest

from synthgen.cli import compose
from synthgen.cli.trust import calls_resolver, require_own_address, require_own_packages
from synthgen.errors import SynthgenError
from synthgen.io import config_dir

FLAG = """
from pathlib import Path

class Flag:
    def __init__(self, **_):
        Path("built").touch()

    def __getattr__(self, name):
        return lambda **_: None
"""
PART = "_target_: stranger.Flag\n"
GLOBAL = "# @package _global_\n"
LINE = ("model=noise", "logger=csv", "out=run")


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A module that can be imported, and ``place(name, text)`` for files of a folder ``configs``
    beside a folder ``elsewhere`` that holds a part for Hydra to build."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/stranger.py").write_text(FLAG)
    monkeypatch.syspath_prepend(tmp_path / "modules")

    def place(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    place("elsewhere/part.yaml", "# @package hydra.callbacks.a\n" + PART)
    place("elsewhere/callbacks/part.yaml", PART)
    place("configs/experiment/good.yaml", GLOBAL + "seed: 3\n")
    yield place
    sys.modules.pop("stranger", None)


def built(tmp_path):
    return (tmp_path / "built").exists()


def test_the_flag_shows_what_hydra_builds(synthgen, stranger, tmp_path):
    """On the command line it is the person's own wish; the tests below would see it."""
    assert synthgen("train", *LINE, "+hydra.callbacks.a._target_=stranger.Flag").code == 0
    assert built(tmp_path)


HYDRA = "Hydra's own"
OUTSIDE = "outside its folder"
FILES = {
    "key": ("experiment/x", GLOBAL + "hydra: {callbacks: {a: {_target_: stranger.Flag}}}", HYDRA),
    "merged": ("experiment/x", GLOBAL + "<<: {hydra: {callbacks: {a: {}}}}", HYDRA),
    "dotted": ("experiment/x", GLOBAL + "hydra.callbacks: {a: {_target_: stranger.Flag}}", HYDRA),
    "package": ("experiment/x", "# @package hydra.callbacks.a\n" + PART, HYDRA),
    "global": ("experiment/x", "# @package _global_.hydra.callbacks.a\n" + PART, HYDRA),
    "launcher": ("experiment/x", "defaults:\n  - override /hydra/launcher: mine\n", HYDRA),
    "into": ("experiment/x", "defaults:\n  - /model@hydra.callbacks.a: noise\n", HYDRA),
    "into list": ("experiment/x", "defaults:\n  - /model@_global_.hydra.b: [noise]\n", HYDRA),
    "up": ("experiment/x", "defaults:\n  - ../../elsewhere/part\n", OUTSIDE),
    "up by a group": ("experiment/x", "defaults:\n  - /../elsewhere: part\n", OUTSIDE),
    "up into": ("experiment/x", "defaults:\n  - /../elsewhere@b: part\n", OUTSIDE),
    "logging": (
        "experiment/x",
        GLOBAL + "hydra: {job_logging: {handlers: {a: {(): stranger.Flag}}}}",
        HYDRA,
    ),
    "environment": ("experiment/x", GLOBAL + "hydra: {job: {env_set: {A: b}}}", HYDRA),
    "places": ("experiment/x", GLOBAL + "hydra: {searchpath: [pkg://stranger]}", HYDRA),
    "variable": ("experiment/x", GLOBAL + "logger: {project: '${oc.env:HOME}'}", "oc.env"),
    "as a key": ("experiment/x", GLOBAL + "papers: {'${oc.env:HOME}': a}", "oc.env"),
    "in a list": ("experiment/x", "defaults:\n  - /model: ${oc.env:HOME}\n", "oc.env"),
    "in a package": ("experiment/x", "# @package a.${oc.env:HOME}\nb: 1\n", "oc.env"),
    "hidden": ("experiment/x", GLOBAL + "trainer: {a: ['${a.${oc.env:HOME}}']}", "oc.env"),
    "own resolver": ("experiment/x", GLOBAL + "seed: '${hydra:runtime.cwd}'", "hydra:runtime"),
}


@pytest.mark.parametrize(("name", "text", "said"), FILES.values(), ids=FILES)
def test_a_file_of_a_folder_from_elsewhere(synthgen, stranger, tmp_path, name, text, said):
    stranger(f"configs/{name}.yaml", text)
    done = synthgen("train", *LINE, "--config-dir", "configs", "experiment=x")
    assert done.code == 2, done.err
    assert said in done.err
    assert len(done.err.splitlines()) <= 2
    assert not built(tmp_path)
    assert not (tmp_path / "run").exists()


WAYS = {
    "a whole folder of configs": (HYDRA, ("--config-path", "whole")),
    "with a sign": (HYDRA, ("--config-path=whole",)),
    "a shortened flag": (HYDRA, ("--config-pa=whole",)),
    "a primary config": (HYDRA, ("--config-dir", "primary", "--config-name", "mine")),
    "a place": (HYDRA, ("hydra.searchpath=[searched]", "experiment=x")),
    "a place with a scheme": (HYDRA, ("hydra.searchpath=['file://searched']", "experiment=x")),
    "a group of Hydra's": (HYDRA, ("--config-dir", "group", "+hydra/callbacks=mine")),
    "a link to a folder": ("is a link", ("--config-dir", "linked", "+experiment/far=part")),
    "a link to a file": ("is a link", ("--config-dir", "linked", "experiment=part")),
    "a second job": (HYDRA, ("--config-dir", "searched", "-m", "experiment=digits_vae,x")),
    "an absolute path": (OUTSIDE, ("--config-dir", "absolute", "experiment=x")),
}


@pytest.mark.parametrize(("said", "flags"), WAYS.values(), ids=WAYS)
def test_a_way_to_bring_such_a_file(synthgen, stranger, tmp_path, said, flags):
    callback = "hydra: {callbacks: {a: {_target_: stranger.Flag}}}\n"
    for path in sorted(config_dir().rglob("*.yaml")):
        stranger(f"whole/{path.relative_to(config_dir())}", path.read_text())
    stranger("whole/train.yaml", (config_dir() / "train.yaml").read_text() + callback)
    stranger("primary/mine.yaml", "defaults: [train, _self_]\n" + callback)
    stranger("searched/experiment/x.yaml", GLOBAL + callback)
    stranger("group/hydra/callbacks/mine.yaml", "a: {_target_: stranger.Flag}\n")
    stranger("absolute/experiment/x.yaml", f"defaults:\n  - /{tmp_path}/elsewhere/part\n")
    (tmp_path / "linked/experiment").mkdir(parents=True)
    (tmp_path / "linked/experiment/far").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "linked/experiment/part.yaml").symlink_to(tmp_path / "elsewhere/part.yaml")
    done = synthgen("train", *LINE, *flags)
    assert done.code == 2, done.err
    assert said in done.err
    assert not built(tmp_path)
    assert not (tmp_path / "run" / "sampler").exists()


@pytest.mark.parametrize("flags", [("--cfg", "job"), ("--help",), ("--cfg", "all", "--resolve")])
def test_looking_is_guarded_too(synthgen, stranger, tmp_path, flags, monkeypatch):
    monkeypatch.setenv("A_SECRET", "hunter2")
    stranger("configs/experiment/x.yaml", GLOBAL + "logger: {project: '${oc.env:A_SECRET}'}\n")
    done = synthgen("train", *LINE, "--config-dir", "configs", "experiment=x", *flags)
    assert done.code == 2
    assert "hunter2" not in done.out + done.err


def test_a_pickle_is_refused(synthgen, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    done = synthgen("train", "--experimental-rerun", "file")
    assert done.code == 2
    assert "pickle" in done.err


@pytest.mark.parametrize(
    "text",
    [
        GLOBAL + "hydra: {callbacks: {a: {_target_: stranger.Flag}}}\n",
        "# @package hydra.callbacks.a\n" + PART,
        GLOBAL + "hydra: {job: {env_set: {A: b}}}\n",
        GLOBAL + "hydra: {overrides: {hydra: [hydra.verbose=true]}}\n",
        "# @package hydra.help\nheader: ${oc.env:HOME}\n",
    ],
)
def test_what_was_composed_is_compared_with_our_own(
    synthgen, stranger, tmp_path, text, monkeypatch
):
    """A second wall: here the one that looks at files is gone."""
    monkeypatch.setattr(compose, "look_at", lambda *_: None)
    stranger("configs/experiment/x.yaml", text)
    done = synthgen("train", *LINE, "--config-dir", "configs", "experiment=x")
    assert done.code == 2, done.err
    assert "changes Hydra's own settings" in done.err
    assert not built(tmp_path)


DOUBLED = "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))


@pytest.mark.parametrize(
    "text",
    ["a0: &a0 [1]\n" + DOUBLED, "a: &a [*a]\n", "a: " + 2000 * "[" + 2000 * "]", "#" * 1_000_001],
    ids=["referring", "inside itself", "deep", "long"],
)
def test_a_file_that_would_fill_the_memory_is_not_composed(synthgen, stranger, text):
    stranger("configs/experiment/x.yaml", GLOBAL + text)
    done = synthgen("train", *LINE, "--config-dir", "configs", "experiment=x", "--cfg", "job")
    assert done.code == 2
    assert "too large for a config" in done.err
    assert len(done.err.splitlines()) == 2


def test_what_is_only_settings_passes(synthgen, stranger, tmp_path):
    stranger("configs/door.yaml", (config_dir() / "door.yaml").read_text())  # a copy of ours
    stranger("configs/train.yaml", (config_dir() / "train.yaml").read_text())
    stranger("configs/model/mine.yaml", "defaults: [noise, _self_]\n")
    stranger(
        "configs/experiment/x.yaml",
        GLOBAL + "defaults: [good, {override /model: mine}]\nlogger: {group: '${seed}-a: b'}\n"
        "plan: {a: &a [1], b: *a}\n",
    )
    line = ("--config-dir", "configs", "experiment=x", "logger=csv", "out=run")
    shown = synthgen("train", *line, "--cfg", "job", "--resolve")
    assert "group: '3-a: b'" in shown.out, shown.err
    done = synthgen("train", *line, "hydra.verbose=false")
    assert done.code == 0, done.err
    assert "seed: 3" in Path("run/config.yaml").read_text()


def test_a_person_may_call_a_resolver_on_the_command_line(synthgen, stranger, monkeypatch):
    monkeypatch.setenv("GROUP", "mine")
    line = ("--config-dir", "configs", "experiment=good", "logger.group=${oc.env:GROUP}")
    assert "group: mine" in synthgen("train", *line, "--cfg", "job", "--resolve").out


@pytest.mark.parametrize("plain", ["a", "${a}", "${a.b[0]}: c", "${a.${b}}", "a: $b {c:d}", "${}"])
def test_references_to_other_keys_call_nothing(plain):
    assert not calls_resolver(plain)


@pytest.mark.parametrize(
    "call", ["${a:}", "${a:b}", "${${a}:b}", "${a.${b:c}}", "x${now:%Y}", "${"]
)
def test_resolvers_are_seen(call):
    assert calls_resolver(call)


def test_only_the_command_line_allows_packages():
    require_own_packages(["mine"], ["model=gan", "allow=[mine]"])
    require_own_packages([], ["model=gan"])
    with pytest.raises(SynthgenError, match=r"allow=\[mine\], and no file may admit code"):
        require_own_packages(["mine"], ["experiment=x"])


def test_only_the_command_line_sends_images_to_an_address():
    require_own_address("memory://set", ["out=memory://set"])
    require_own_address("set", ["experiment=x"])
    with pytest.raises(SynthgenError, match="no file may send images"):
        require_own_address("memory://set", ["experiment=x"])


def test_the_command_checks_what_only_it_may_say(synthgen, stranger, tmp_path):
    line = ("train", "--config-dir", "configs", "experiment=x", "model=noise", "logger=csv")
    stranger("configs/experiment/x.yaml", GLOBAL + "allow: [stranger]\n")
    assert "no file may admit code" in synthgen(*line).err
    stranger("configs/experiment/x.yaml", GLOBAL + "out: memory://set\n")
    assert "no file may send images" in synthgen(*line).err
    assert "stranger" not in sys.modules
    assert {path.name for path in tmp_path.iterdir()} == {"configs", "elsewhere", "modules"}


CIRCLE = ("configs/experiment/y.yaml", "defaults: [x]\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GLOBAL + "seed: !!python/object/apply:stranger.Flag []\n", "can't be read"),
        (GLOBAL + "seed: 1\n---\nseed: 2\n", "can't be read"),
        (GLOBAL + "trainer: ${oc.create:{a: b}}\n", "can't be read"),
        (GLOBAL + "seed: 1\0\n", "can't be read"),
        ("defaults: [y]\n", "in a circle"),
    ],
    ids=["tag", "two documents", "braces", "nothing", "circle"],
)
def test_a_file_that_is_no_config(synthgen, stranger, tmp_path, text, said):
    stranger("configs/experiment/x.yaml", text)
    stranger(*CIRCLE)
    done = synthgen("train", *LINE, "--config-dir", "configs", "experiment=x")
    assert done.code == 2, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert not built(tmp_path)
