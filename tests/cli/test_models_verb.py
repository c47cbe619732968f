"""``synthgen models``: readable in a terminal, complete as JSON, right about sizes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hydra import initialize_config_dir

from synthgen.cli.catalogue import made_of, model_costs, sources
from synthgen.cli.listing import counted, kept
from synthgen.io import config_dir
from synthgen.networks import R3Discriminator, R3Generator
from synthgen.networks.cost import cost
from synthgen.types import ImageSpec

IMAGE = ImageSpec(3, 32, 32, tuple("0123456789"))
SMALL = {"patch": 2, "blocks": 1, "last_blocks": 1, "expansion": 1, "group_size": None}


@pytest.fixture(scope="module")
def listing():
    """One listing of everything, as another program would read it."""
    import contextlib
    import io

    from synthgen.cli.main import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["models", "--json"]) == 0
    return json.loads(out.getvalue())


def test_what_is_kept_is_what_the_classes_say():
    """If not: .venv/bin/python scripts/list_models.py"""
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        now = counted([config_dir()], [], IMAGE, own_sizes=True)
    before = kept([config_dir()])
    assert before is not None, "a yaml file was changed"
    assert json.loads(json.dumps(now)) == before


def test_other_configs_are_not_what_is_kept(tmp_path, monkeypatch):
    assert kept([tmp_path, config_dir()]) is None  # whose files come first
    assert kept([]) is None
    shutil.copytree(config_dir(), tmp_path / "configs")
    monkeypatch.setattr("synthgen.cli.listing.config_dir", lambda: tmp_path / "configs")
    assert kept([tmp_path / "configs"]) is not None
    (tmp_path / "configs" / "model" / "mine.yaml").write_text("_target_: torch.nn.Identity")
    assert kept([tmp_path / "configs"]) is None


def options(listing):
    return {(one["group"], one["name"]): one for one in listing["options"]}


def test_json_has_every_option_with_its_costs(listing):
    found = options(listing)
    generator = cost(R3Generator(IMAGE, width=32, max_width=128, embedding_dim=64, **SMALL))
    discriminator = cost(R3Discriminator(IMAGE, width=32, max_width=128, **SMALL))
    shown = found["network/generator", "r3gan_small"]
    assert shown["parameters"] == generator.parameters
    assert shown["multiply_adds"] == generator.multiply_adds
    gan = found["model", "gan"]
    assert gan["parameters"] == generator.parameters + discriminator.parameters
    assert gan["multiply_adds"] == generator.multiply_adds
    assert gan["parts"]["discriminator"]["multiply_adds"] == discriminator.multiply_adds
    assert gan["papers"] == ["Huang et al. 2024"]
    assert "GPU" in found["network/generator", "r3gan"]["needs"]
    assert found["network/generator", "r3gan"]["parameters"] > 20_000_000
    assert found["data", "mnist"]["needs"] == ["root=…"]
    assert listing["image"] == {"shape": [3, 32, 32], "classes": 10}


def test_a_network_of_a_published_size_is_counted_at_that_size(listing):
    found = options(listing)
    large = found["network/generator", "biggan_imagenet128"]
    assert large["pixels"] == 128
    assert large["parameters"] > 70_000_000
    assert large["multiply_adds"] > 20 * 10**9
    assert found["network/generator", "biggan"]["pixels"] is None


def test_every_network_and_every_trained_model_has_its_costs(listing):
    for one in listing["options"]:
        assert one["note"] is None, one
        if one["group"].startswith("network/"):
            assert one["parameters"] > 0, one  # those too that only a model completes
        if one["group"] == "model" and one["parts"]:
            assert one["parameters"] > 0
            assert one["multiply_adds"] > 0
            assert all(part["multiply_adds"] > 0 for part in one["parts"].values())
    assert len([one for one in listing["options"] if one["parts"]]) >= 2


def test_of_a_folder_of_ones_own_only_its_options_are_counted(synthgen, listing, monkeypatch):
    """All of ours would take 20 seconds of every such listing."""
    built = []

    def counted_model(config, name, image, allow):
        built.append(name)
        return model_costs(config, name, image, allow)

    monkeypatch.setattr("synthgen.cli.catalogue.model_costs", counted_model)
    for group, text in {
        "model": "# My noise.\n_target_: synthgen.samplers.Noise\n",
        "network/generator": "# Mine.\n_target_: synthgen.networks.R3Generator\nmax_width: 16\n",
    }.items():
        folder = Path("own") / group
        folder.mkdir(parents=True)
        (folder / "mine.yaml").write_text(text)
    shown = synthgen("models", "--config-dir", "own", "--json")
    assert shown.code == 0, shown.err
    found = options(json.loads(shown.out))
    assert built == ["mine"]
    assert found["model", "mine"]["what"] == "My noise"
    mine = found.pop(("network/generator", "mine"))
    assert mine["parameters"] == cost(R3Generator(IMAGE, max_width=16)).parameters
    del found["model", "mine"]
    assert found == options(listing)


def test_what_an_option_is_made_of(tmp_path):
    for group, name, text in (
        ("model", "a", "defaults: [b, {override /gan/loss@loss: hinge}, _self_]"),
        ("model", "b", "defaults:\n- /network/generator@generator: r3\n- /gan/penalty: [x, y]"),
        ("network/generator", "r3", "defaults: [{/network/head@head: flat}]"),
    ):
        (tmp_path / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / group / f"{name}.yaml").write_text(text)
    made = made_of(sources([tmp_path]))
    network = {("network/generator", "r3"), ("network/head", "flat")}
    below = {("model", "b"), ("gan/penalty", "x"), ("gan/penalty", "y"), *network}
    assert made["network/generator", "r3"] == network
    assert made["model", "b"] == below
    assert made["model", "a"] >= {("model", "a"), ("gan/loss", "hinge"), *below}


def test_a_group_at_another_size_fits_80_columns(synthgen, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = synthgen("models", "network/discriminator", "image=1x28x28", "classes=4")
    assert shown.code == 0
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "1 x 28 x 28, 4 classes" in shown.out
    assert "names its pixels" not in shown.out  # the size asked for, for all
    assert "r3gan_small" in shown.out
    assert "gan/loss" not in shown.out
    image = ImageSpec(1, 28, 28, tuple("0123"))
    with torch.device("meta"):
        count = cost(R3Discriminator(image, width=32, max_width=128, **SMALL)).multiply_adds
    assert f"{count / 1e6:.3g} M" in shown.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gan/los"], "There is no group 'gan/los'. Did you mean 'gan/loss'?"),
        (["image=3x32"], "image is '3x32', but must be channels"),
        (["image=0x8x8"], "image is '0x8x8', but must be channels"),
        (["classes=0"], "classes is 0, but must be a whole number from 1"),
        (["show=xml"], "show is 'xml'"),
    ],
)
def test_what_is_wrong_is_said(synthgen, arguments, said):
    shown = synthgen("models", *arguments)
    assert shown.code == 2
    assert said in shown.err
