"""Every YAML file is composed and built. Files are found by recursive glob, so a new one is
covered as soon as it exists."""

import contextlib
import functools
import importlib
import inspect
import re
import typing
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from synthgen.cli.build import TARGET, build
from synthgen.cli.settings import MISSING, SETTINGS, RunSettings, validate
from synthgen.errors import SynthgenError
from synthgen.io import config_dir
from synthgen.types import ImageSpec

CONFIGS = config_dir()
FILES = sorted(path.relative_to(CONFIGS).with_suffix("") for path in CONFIGS.rglob("*.yaml"))
ROOTS = [verb.replace(" ", "_") for verb in SETTINGS]
SHARED = {"door"}
OF_SWEEPS = {"hydra", "sweep"}  # tests/cli/sweep/ has these
OPTIONS = [one for one in FILES if len(one.parts) > 1 and one.parts[0] not in OF_SWEEPS]
MODELS = [path.name for path in OPTIONS if path.parent == Path("model")]
IMAGES = [ImageSpec(1, 8, 8, ("0", "1")), ImageSpec(3, 32, 32, ("cat", "dog", "emu"))]
# What an option is used with, where the default beside it would be refused as senseless.
COMPANIONS = {
    f"gan/penalty/{name}": ["gan/loss@model.loss=hinge"]
    for name in ("lecam", "lecam_consistency", "r1_lecam")
} | {"network/head/unconditional": ["gan/auxiliary@model.auxiliary=ac_gan"]}


def composed(root, *overrides):
    """The config and the chosen option of every group that it is made of."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIGS)):
        config = compose(root, overrides=list(overrides), return_hydra_config=True)
    chosen = {k: v for k, v in config.hydra.runtime.choices.items() if not k.startswith("hydra/")}
    chosen |= lists_of_options(root)
    keys = [key for key in config if key != "hydra"]
    return OmegaConf.to_container(OmegaConf.masked_copy(config, keys), resolve=True), chosen


def lists_of_options(root):
    """Groups of which several options may be chosen; Hydra doesn't name them among its choices."""
    defaults = yaml.safe_load((CONFIGS / f"{root}.yaml").read_text())["defaults"]
    entries = [entry for entry in defaults if isinstance(entry, dict)]
    return {k: v for entry in entries for k, v in entry.items() if isinstance(v, list)}


@functools.cache
def starting_points():
    """Compositions that together show every group: all roots, and training with every model."""
    points = [(root, ()) for root in ROOTS]
    points += [("train", (f"model={name}",)) for name in MODELS]
    points += [("evaluate", ("trial=standard",))]
    return [(root, overrides, composed(root, *overrides)[1]) for root, overrides in points]


def choose(option):
    """How to compose a config that holds the file ``option``."""
    group = option.parent.as_posix()
    for root, overrides, chosen in starting_points():
        for key, value in chosen.items():
            if key.split("@")[0] == group:
                name = f"[{option.name}]" if isinstance(value, list) else option.name
                kept = [one for one in overrides if one.split("=")[0] != key]
                return root, [*kept, f"{key}={name}", *COMPANIONS.get(option.as_posix(), [])]
    raise AssertionError(f"no verb offers the group {group}")


def with_values(node):
    """Something in the place of everything that only the person can know."""
    if isinstance(node, dict):
        own = {TARGET: "torch.nn.Identity"} if node.get(TARGET) == MISSING else {}
        return {name: with_values(item) for name, item in {**node, **own}.items()}
    return "somewhere" if node == MISSING else node


@contextlib.contextmanager
def weights_may_be_absent():
    """A download that this machine may not have made, or a package that it lacks; the sentence
    about it is the test then."""
    try:
        yield
    except SynthgenError as error:
        if not any(said in str(error) for said in ("weights are not at", "pip install ")):
            raise


def objects(config):
    return {key: node for key, node in config.items() if isinstance(node, dict) and key != "logger"}


def test_there_are_configs_and_every_folder_has_some():
    assert len(FILES) > 25
    folders = [path for path in CONFIGS.rglob("*") if path.is_dir()]
    assert folders
    assert all(any(folder.rglob("*.yaml")) for folder in folders)
    assert {path.name for path in FILES if len(path.parts) == 1} == {*ROOTS, *SHARED}


def test_every_group_is_offered_by_a_verb():
    offered = {key.split("@")[0] for _, _, chosen in starting_points() for key in chosen}
    assert {path.parent.as_posix() for path in OPTIONS} == offered


@pytest.mark.parametrize("root", ROOTS)
def test_every_root_is_what_its_verb_expects(root):
    schema = SETTINGS[root.replace("_", " ")]
    config = composed(root)[0]
    if "folders" in config:
        config["folders"] = ["a", "b"]
    settings = validate(with_values(config), schema)
    assert getattr(settings, "out", None) is None  # verify and models write nothing
    assert settings.allow == []


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_every_option_is_composed_and_built(option):
    root, overrides = choose(option)
    config = with_values(composed(root, *overrides)[0])
    validate(config, SETTINGS[root.replace("_", " ")], also_known=RunSettings.__dataclass_fields__)
    image = IMAGES[1] if "cifar10" in option.name else IMAGES[0]
    for key, node in objects(config).items():
        if key == "extractor" and option.parts[0] == key:
            with weights_may_be_absent():
                build(node, key=key)
            continue
        built = build(node, key=key, facts={"image": image, "training_images": 1000})
        assert (TARGET in node) != isinstance(built, dict)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_built_for_colour_too(name):
    config = composed("train", f"model={name}")[0]
    model = build(config["model"], key="model", facts={"image": IMAGES[1]})
    assert model.image == IMAGES[1]


def advised(name):
    """The settings of the model that its yaml recommends in its comments."""
    lines = (CONFIGS / "model" / f"{name}.yaml").read_text().splitlines()
    words = " ".join(line.partition("#")[2] for line in lines if line.startswith("#")).split()
    ours = re.compile(r"(model\.|[a-z_/]+@model\.)[\w.]+=")
    return [word.rstrip(".,;:)") for word in words if ours.match(word)]


def test_some_models_advise_settings():
    assert "model.discriminator_steps=5" in advised("wgan_gp")
    assert "network/generator@model.generator=dcgan" in advised("dcgan")


@pytest.mark.parametrize("name", [name for name in MODELS if advised(name)])
def test_what_a_model_advises_can_be_set_and_built(name):
    config, _ = composed("train", f"model={name}", *advised(name))
    build(config["model"], key="model", facts={"image": IMAGES[1]})


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.parts[0] == "experiment"], ids=str)
def test_an_experiment_is_a_page_of_a_lab_book_and_serves_train_and_run(option):
    lines = (CONFIGS / option).with_suffix(".yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    for line, heading in zip(lines[1:5], ("Purpose", "Command", "Time", "Result"), strict=True):
        assert line.startswith(f"# {heading}")
        assert len(line.split()) > 3
    for root in ("train", "run"):
        config = with_values(composed(root, f"experiment={option.name}")[0])
        validate(config, SETTINGS[root], also_known=RunSettings.__dataclass_fields__)
        assert config["max_time"] or config["max_images"]


TARGETS = sorted(
    {
        found
        for path in (Path(__file__).parents[1] / "configs").rglob("*.yaml")
        for found in re.findall(
            r"^\s*_target_: (synthgen\.[\w.]+)$", path.read_text(), re.MULTILINE
        )
    }
)


@pytest.mark.parametrize("target", TARGETS)
def test_a_constructors_annotations_are_its_schema(target):
    """Names that only a type checker knows would let every value pass."""
    module, _, name = target.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    hints = typing.get_type_hints(found.__init__, include_extras=True)
    named = set(inspect.signature(found).parameters) - {"args", "kwargs"}
    assert named <= set(hints)
