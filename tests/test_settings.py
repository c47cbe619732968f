"""Every number that a config holds has a range, and what lies outside is refused in a sentence,
before anything is built. Found from the yaml files and the constructors that they name."""

import contextlib
import copy
import functools
import math
import typing
from typing import Annotated

import pytest
import yaml
from test_configs import CONFIGS, IMAGES, OPTIONS, composed, with_values

from synthgen.cli.build import TARGET, build, check, find_target
from synthgen.cli.coerce import parameters_of
from synthgen.cli.settings import SETTINGS
from synthgen.errors import SynthgenError
from synthgen.training.train import train

# Within nobody's range.
SENSELESS = [math.nan, math.inf, -math.inf, 1e308, -1e308, 10**20, -(10**20), 10**5000, "x"]
DOUBTFUL = [-1, 0, None, [], [[]], {}, 3]  # refused or used: that depends
FACTS = {"image": IMAGES[0], "training_images": 1000}
# A salt of a hash: any whole number is another split. The others come from the model or the data.
MODELS = [path for path in OPTIONS if path.parts[0] == "model"]
LONG = "5,000 digits"
WITHOUT_RANGE = {
    "split_seed", "num_classes", "feature_dim", "z_dim", "grid", "positions", "num_codes",
    "training_images",
}  # fmt: skip


def nodes(node, place=()):
    """Every table with a ``_target_``, inner ones too, and where it stands."""
    if isinstance(node, dict):
        if node.get(TARGET) not in (None, "???"):
            yield place, node
        for name, item in node.items():
            yield from nodes(item, (*place, name))
    elif isinstance(node, list):
        for position, item in enumerate(node):
            yield from nodes(item, (*place, position))


def written(option):
    return yaml.safe_load((CONFIGS / option).with_suffix(".yaml").read_text())


CLASSES = {
    node[TARGET]
    for option in OPTIONS
    for _, node in nodes(written(option))
    if node[TARGET].startswith("synthgen.")
}


def bare_numbers(annotation):
    """Whether somewhere in a value of this type a number may stand that has no range."""
    if typing.get_origin(annotation) is Annotated:
        inner = typing.get_args(annotation)[0]
        return inner not in (int, float) and bare_numbers(inner)
    return annotation in (int, float) or any(map(bare_numbers, typing.get_args(annotation)))


def test_bare_numbers_are_seen():
    assert bare_numbers(int | None)
    assert bare_numbers(dict[str, list[float]])
    assert not bare_numbers(dict[str, Annotated[int, "any"]] | None)


@pytest.mark.parametrize("target", sorted(CLASSES))
def test_every_number_of_a_constructor_has_a_range(target):
    for name, parameter in parameters_of(find_target(target, "x")).items():
        given = name in WITHOUT_RANGE and parameter.default is parameter.empty
        if not given and name != "split_seed":
            assert not bare_numbers(parameter.annotation), f"{target}({name})"


@pytest.mark.parametrize("schema", SETTINGS.values(), ids=SETTINGS)
def test_every_number_of_a_verb_has_a_range(schema):
    for name, annotation in typing.get_type_hints(schema, include_extras=True).items():
        assert not bare_numbers(annotation), name


def test_every_number_of_the_trainer_has_a_range():
    for name, parameter in parameters_of(train).items():
        assert not bare_numbers(parameter.annotation), name


def numbers(node, place=()):
    """Where numbers stand in a node, those of inner nodes left out."""
    if isinstance(node, dict) and not (place and TARGET in node):
        for name, item in node.items():
            yield from numbers(item, (*place, name))
    elif isinstance(node, list):
        for position, item in enumerate(node):
            yield from numbers(item, (*place, position))
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield place


def changed(config, place, value):
    found = copy.deepcopy(config)
    node = found
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    return found


@functools.cache
def settings():
    """(class, setting) -> the node that holds it, and where: of all yaml files, and of all models
    with their parts. Networks of published size are left out: small ones name their classes."""
    sources = [("model", composed("train", f"model={one.name}")[0]["model"]) for one in MODELS]
    sources += [(one.parts[0], written(one)) for one in OPTIONS if one.parts[0] != "network"]
    found = {}
    for name, source in sources:
        for where, node in nodes(with_values(source), (name,)):
            for place in numbers(node):
                setting = tuple("[]" if isinstance(step, int) else step for step in place)
                found.setdefault((node[TARGET], setting), (".".join(map(str, where)), node, place))
    return found


def refusal(act):
    """The sentence with which ``act`` was refused, None if it wasn't."""
    try:
        act()
    except SynthgenError as error:
        said = str(error)
    else:
        return None
    lines = said.splitlines()
    assert 1 <= len(lines) <= 2, said
    assert len(lines[0]) < 320, said
    return said


def test_there_are_many_settings():
    assert len(settings()) > 200


@pytest.mark.parametrize("value", SENSELESS, ids=lambda one: LONG if one == 10**5000 else str(one))
def test_no_setting_takes_what_is_no_number(value):
    for (target, name), (key, node, place) in settings().items():
        if value == 1e308 and target.startswith("torch."):
            continue  # a schedule sets an optimizer's rate
        bad = changed(node, place, value)
        said = refusal(functools.partial(check, bad, key=key)) or refusal(
            functools.partial(build, bad, key=key, facts=FACTS)
        )
        assert said is not None, f"{target}({name}) is accepted"
        assert key in said, said
        assert name[0] in said or target.startswith("torch."), said


@functools.cache
def buildable():
    """Those whose node can be built as it stands; others lack parts that a default names."""
    found = {}
    for setting, (key, node, place) in settings().items():
        with contextlib.suppress(SynthgenError):
            build(node, key=key, facts=FACTS)
            found[setting] = key, node, place
    return found


def test_most_nodes_can_be_built():
    assert len(buildable()) > 0.8 * len(settings())


@pytest.mark.parametrize("value", DOUBTFUL, ids=str)
def test_a_doubtful_number_is_used_or_refused(value):
    """Anything else would be a traceback."""
    said = [
        refusal(functools.partial(build, changed(node, place, value), key=key, facts=FACTS))
        for key, node, place in buildable().values()
    ]
    assert any(said)
