import functools

import pytest
import torch
from torch import nn

from synthgen.cli.build import build, check, find_target
from synthgen.errors import SynthgenError
from synthgen.types import ImageSpec

IMAGE = ImageSpec(1, 8, 8, ("a", "b"))


def test_nested_targets_are_built_innermost_first():
    node = {
        "_target_": "torch.nn.Sequential",
    }
    assert isinstance(build(node, key="net"), nn.Sequential)
    layers = build([{"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}], key="n")
    assert layers[0].out_features == 3


def test_partial_leaves_the_call_open():
    optimizer = build({"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.1}, key="opt")
    assert isinstance(optimizer, functools.partial)
    assert optimizer([torch.zeros(1, requires_grad=True)]).param_groups[0]["lr"] == 0.1


def test_facts_fill_what_the_config_leaves_out():
    noise = build({"_target_": "synthgen.samplers.Noise"}, key="model", facts={"image": IMAGE})
    assert noise.image == IMAGE


def test_a_missing_argument_is_named():
    with pytest.raises(SynthgenError, match=r"model: .*Noise also needs image"):
        build({"_target_": "synthgen.samplers.Noise"}, key="model")


def test_a_misspelt_keyword_is_corrected():
    node = {"_target_": "synthgen.samplers.PCAGaussian", "component": 3}
    with pytest.raises(SynthgenError, match=r"model\.component: .*Did you mean 'components'\?"):
        build(node, key="model", facts={"image": IMAGE})


def test_a_wrong_type_is_named_with_its_full_key():
    node = {"_target_": "synthgen.samplers.PCAGaussian", "components": "many"}
    with pytest.raises(SynthgenError, match=r"model\.components is 'many', but must be a whole"):
        build(node, key="model", facts={"image": IMAGE})


def test_a_value_that_the_constructor_refuses_is_one_sentence():
    node = {"_target_": "torch.optim.Adam", "params": [], "lr": -1.0}
    with pytest.raises(SynthgenError, match=r"^opt: "):
        build(node, key="opt")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "builtins.open",
        "subprocess.Popen",
        "torch.load",
        "torch.hub.load",
        "pickle.loads",
        "synthgen.paths.os",  # a module reached through ours
        "synthgen.paths.shutil.rmtree",
        "synthgen.paths.write_text",  # ours, but no class: it writes files
        "synthgen.cli.main.main",
        "synthgen.spec.Iterable",  # a class, but not of ours
        "torch.nn.init.normal_",
        "synthgenx.evil.Thing",
        "torch.nnx.Linear",
        "os",
        "",
    ],
)
def test_what_is_not_on_the_list_is_refused(target):
    with pytest.raises(SynthgenError):
        find_target(target, "model")


def test_refusal_names_the_key_and_the_way_out():
    with pytest.raises(SynthgenError, match=r"model\._target_ is os\.system.*\n.*allow=\[") as info:
        build({"_target_": "os.system", "command": "echo"}, key="model")
    assert len(str(info.value).splitlines()) == 2


def test_nothing_is_imported_before_it_is_allowed(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SynthgenError):
        find_target("trap.Thing", "model")


def test_allow_admits_a_package_of_the_persons_own(tmp_path, monkeypatch):
    (tmp_path / "my_shapes.py").write_text(
        "class Shape:\n    def __init__(self, sides: int) -> None:\n        self.sides = sides\n"
        "def make(sides: int) -> Shape:\n    return Shape(sides)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": "my_shapes.Shape", "sides": 3}
    with pytest.raises(SynthgenError, match="allow="):
        build(node, key="model")
    assert build(node, key="model", allow=["my_shapes"]).sides == 3
    assert build({**node, "_target_": "my_shapes.make"}, key="model", allow=["my_shapes"]).sides


@pytest.mark.parametrize("directive", ["_args_", "_recursive_", "_convert_", "_call_"])
def test_hydras_other_directives_are_refused(directive):
    node = {"_target_": "torch.nn.Identity", directive: []}
    with pytest.raises(SynthgenError, match=directive):
        build(node, key="model")


@pytest.mark.parametrize(
    "wrong",
    [
        {"_target_": "os.system"},
        {"_target_": "synthgen.samplers.PCAGaussian", "component": 3},
        {"_target_": "synthgen.samplers.PCAGaussian", "components": "many"},
        {"a": [{"_target_": "os.system"}]},
        {"_args_": []},
    ],
)
def test_checking_finds_without_building(wrong):
    with pytest.raises(SynthgenError):
        check(wrong, key="model")


def test_checking_builds_nothing():
    check({"_target_": "synthgen.samplers.PCAGaussian", "components": 3}, key="model")  # no image
