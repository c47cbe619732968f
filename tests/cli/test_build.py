import ast
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Never

import pytest
import torch
from torch import nn

import synthgen
from synthgen.cli.build import LISTED, build, check, find_target
from synthgen.errors import SynthgenError
from synthgen.gan.losses import GANLoss, Hinge
from synthgen.io import config_dir
from synthgen.networks.base import Generator
from synthgen.roles import closed, plays
from synthgen.synthesis.filters import NearCopies
from synthgen.types import ImageSpec

IMAGE = ImageSpec(1, 8, 8, ("a", "b"))


def test_nested_targets_are_built_innermost_first():
    assert isinstance(build({"_target_": "torch.nn.Flatten"}, key="net"), nn.Flatten)
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
        "synthgen.io.os",  # a module reached through ours
        "synthgen.io.shutil.rmtree",
        "synthgen.io.write_text",  # ours, but no class: it writes files
        "synthgen.cli.main.main",
        "synthgen.serialization.Iterable",  # a class, but not of ours
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


@pytest.mark.parametrize(
    "target",
    [
        "torch.nn.Sequential",
        "torch.nn.DataParallel",
        "torch.optim.LBFGS",
        "torch.optim.lr_scheduler.StepLR",
        "torch.optim.adam.Adam",  # the same class by another name
        "torchmetrics.MeanMetric",
        "torchvision.transforms.ToTensor",
        "pytorch_lightning.Trainer",
        "pytorch_lightning.loggers.CSVLogger",
        "sklearn.linear_model.LogisticRegression",
        "synthgen.training.train.Trainer",  # a library's, reached through ours
    ],
)
def test_of_other_libraries_single_classes_are_listed(target):
    with pytest.raises(SynthgenError, match=r"may not build.*\n.*torch's optimizers.*allow=\["):
        find_target(target, "model")


@pytest.mark.parametrize("target", sorted(LISTED))
def test_what_is_listed_is_there(target):
    role = torch.optim.Optimizer if target.startswith("torch.optim.") else nn.Module
    assert plays(find_target(target, "x"), role)


def test_the_list_holds_what_our_files_name():
    texts = [path.read_text() for path in config_dir().rglob("*.yaml")]
    named = {one for text in texts for one in re.findall(r"_target_: ([\w.]+)", text)}
    outside = {one for one in named if not one.startswith(("synthgen.", "mypackage."))}
    assert "torch.optim.Adam" in outside
    assert outside <= LISTED


@pytest.fixture
def flagged(monkeypatch):
    """Classes that remember having been constructed: a filter, and a loss inside anything."""
    made = []
    for cls in (NearCopies, Hinge):
        monkeypatch.setattr(cls, "__init__", lambda self, *_, **__: made.append(type(self)))
    return made


COPIES = {"_target_": "synthgen.synthesis.filters.NearCopies"}
HINGE = {"_target_": "synthgen.gan.losses.Hinge"}
ADAM = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.1}


def misplaced():
    """Slots of several kinds, each with a class that has another role."""
    model = {"_target_": "synthgen.gan.GAN"}
    extractor = {"_target_": "synthgen.evaluation.features.ModuleExtractor"}
    return {
        "root": (COPIES, GANLoss),
        "union": (COPIES, Generator | GANLoss),
        "optional": (COPIES, GANLoss | None),
        "list": ([HINGE, COPIES], list[GANLoss | str]),
        "table": ({"a": COPIES}, Mapping[str, GANLoss]),
        "plain": (COPIES, float | list[float] | None),
        "argument": ({**model, "loss": COPIES}, Any),
        "number": ({**model, "batch_size": COPIES}, Any),
        "deeper": ({**model, "penalties": {"a": {**COPIES, "b": COPIES}}}, Any),
        "in a list of numbers": ({**extractor, "size": [COPIES]}, Any),
        "partial for an object": ({**HINGE, "_partial_": True}, GANLoss),
        "object for a partial": (HINGE, Callable[[int], Generator]),
        "another's partial": ({**HINGE, "_partial_": True}, Callable[[int], Generator]),
        "wrong outside, right inside": ({**COPIES, "space": HINGE}, GANLoss),
        "no such argument": ({"_target_": "torch.nn.Identity", "x": COPIES}, nn.Module),
    }


@pytest.mark.parametrize("case", misplaced())
def test_the_role_is_checked_before_anything_is_constructed(flagged, case):
    node, role = misplaced()[case]
    with pytest.raises(SynthgenError, match=r"Choose one of|has no 'x'"):
        check(node, key="a", role=role)
    with pytest.raises(SynthgenError, match=r"Choose one of|has no 'x'"):
        build(node, key="a", role=role)
    assert COPIES["_target_"].rpartition(".")[2] not in {one.__name__ for one in flagged}


@pytest.mark.parametrize(
    ("node", "role"),
    [
        (HINGE, GANLoss),
        (HINGE, str | GANLoss | None),
        ({"a": HINGE, "b": None}, Mapping[str, GANLoss | None]),
        ([HINGE], tuple[GANLoss, ...]),
        (ADAM, Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]),
        (ADAM, Callable[..., torch.optim.Optimizer]),
        (HINGE, Annotated[GANLoss, "of a discriminator"]),
        (
            {"_target_": "synthgen.training.Constant", "value": 1.0},
            Callable[[float], Any],
        ),
    ],
)
def test_what_plays_the_role_is_built(node, role):
    check(node, key="a", role=role)
    assert build(node, key="a", role=role) is not None


def test_a_package_of_ones_own_may_leave_annotations_out(tmp_path, monkeypatch):
    (tmp_path / "my_parts.py").write_text(
        "class Outer:\n    def __init__(self, inner, table: dict):\n        self.inner = inner\n"
        "def loss() -> int:\n    return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": "my_parts.Outer", "inner": HINGE, "table": {"a": HINGE}}
    assert isinstance(build(node, key="a", allow=["my_parts"]).inner, Hinge)
    with pytest.raises(SynthgenError, match="a GANLoss"):
        build(node, key="a", role=GANLoss, allow=["my_parts"])
    with pytest.raises(SynthgenError, match="a GANLoss"):  # it says that it makes a number
        build({"_target_": "my_parts.loss"}, key="a", role=GANLoss, allow=["my_parts"])


def test_a_class_that_lacks_a_method_is_refused_before_anything_is_built(tmp_path, monkeypatch):
    (tmp_path / "my_source.py").write_text(
        "from synthgen.data import ArraySource\nclass Drawings(ArraySource): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SynthgenError, match=r"my_source\.Drawings has no arrays\(\) yet"):
        check({"_target_": "my_source.Drawings"}, key="data", allow=["my_source"])


def test_where_ours_says_nothing_only_plain_values_stand():
    assert closed(dict[str, Any]) == dict[str, Never]
    assert closed(Any) is Never
    assert closed(list) == tuple[Never, ...]
    node = {"_target_": "synthgen.evaluation.features.NetworkExtractor"}
    with pytest.raises(SynthgenError, match="must be plain values"):
        check({**node, "facts": {"a": HINGE}}, key="a")


def test_every_caller_says_what_it_wants():
    """Else a class of any role would be constructed there."""
    told = []
    for path in Path(synthgen.__file__).parent.rglob("*.py"):
        calls = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
        ]
        for call in calls if path.name not in ("build.py", "serialization.py") else ():
            words = {word.arg for word in call.keywords}
            name = getattr(call.func, "id", None)
            if (name in ("build", "check") and "key" in words) or name == "from_spec":
                told.append("role" in words or len(call.args) > 2)
    assert len(told) >= 7
    assert all(told)
