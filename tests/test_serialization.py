import importlib
import importlib.metadata
import inspect
import pkgutil

import pytest

import synthgen
from synthgen import serialization
from synthgen.errors import SynthgenError
from synthgen.moved import path_today
from synthgen.networks.base import Generator
from synthgen.serialization import Rebuildable, allowed_packages, from_spec, public_path, to_spec
from synthgen.synthesis import Balanced, PerClass, Plan
from synthgen.types import ImageSpec
from synthgen.visualize import Look

IMAGE = ImageSpec(3, 4, 5, ("a", "b"))


class Settings(Rebuildable):
    def __init__(self, first, *, second=2, **rest):
        self.first = first


class Derived(Settings):
    def __init__(self, size):
        super().__init__(size * 2, third=3)


def test_arguments_are_recorded_by_name():
    spec = to_spec(Settings([1, (2.5, "x")], second=None, third=IMAGE, fourth={"k": True}))
    target = spec.pop("_target_")
    assert target == f"{__name__}.Settings"
    assert spec == {
        "first": [1, [2.5, "x"]],
        "second": None,
        "third": {"_image_": IMAGE.to_json()},
        "fourth": {"k": True},
    }


def test_the_outermost_constructor_is_the_one_recorded():
    assert to_spec(Derived(4)) == {"_target_": f"{__name__}.Derived", "size": 4}


def test_rebuildables_nest():
    spec = to_spec(Settings(Balanced(3)))
    assert spec["first"] == {"_target_": "synthgen.synthesis.Balanced", "per_class": 3}


def test_round_trip_through_plain_values():
    plan = from_spec(to_spec(PerClass({"a": 1, "b": 2})))
    assert plan.quotas(("a", "b"), None) == {"a": 1, "b": 2}
    assert from_spec(to_spec(IMAGE)) == IMAGE


def test_what_json_cannot_hold_is_refused_when_saving():
    with pytest.raises(TypeError, match="can't be recorded"):
        to_spec(Settings(object()))


def test_positional_rest_is_refused():
    class Greedy(Rebuildable):
        def __init__(self, *values):
            pass

    with pytest.raises(TypeError, match="take a sequence"):
        Greedy(1, 2)


def test_a_constructors_own_complaint_comes_through():
    with pytest.raises(SynthgenError, match="per_class"):
        from_spec({"_target_": "synthgen.synthesis.Balanced", "per_class": -1})


@pytest.mark.parametrize("value", ["my_package", "my_package.parts", "my_package:thing"])
def test_an_installed_entry_point_allows_its_package(monkeypatch, value):
    entry = importlib.metadata.EntryPoint("mine", value, "synthgen.packages")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry])
    monkeypatch.setattr(
        serialization, "installed_packages", serialization.installed_packages.__wrapped__
    )
    assert allowed_packages() == {"synthgen", "my_package"}


def test_a_class_of_another_role_is_never_constructed(monkeypatch):
    made = []
    monkeypatch.setattr(Balanced, "__init__", lambda self, *_, **__: made.append(self))
    plan = {"_target_": "synthgen.synthesis.Balanced", "per_class": 1}
    sheet = {"_target_": "synthgen.visualize.Sheet"}
    for value, role in [
        (plan, Generator),
        ([plan], list[Generator]),
        ({**sheet, "classes": plan}, Look),  # texts are wanted
        ({**sheet, "classes": [plan]}, Look),
        ({"a": plan}, dict[str, int]),
    ]:
        with pytest.raises(SynthgenError, match=r"can't stand where .* wanted"):
            from_spec(value, role=role)
    assert not made
    from_spec(plan, role=Plan)
    assert len(made) == 1


def classes_of_the_house():
    for found in pkgutil.walk_packages(synthgen.__path__, "synthgen."):
        module = importlib.import_module(found.name)
        own = (one for one in vars(module).values() if inspect.isclass(one))
        yield from (one for one in own if one.__module__ == module.__name__)


def test_every_class_is_found_by_the_path_that_it_is_saved_under():
    """Old paths are translated; those of today lead where they say."""
    classes = list(classes_of_the_house())
    assert len(classes) > 500
    for cls in classes:
        module, _, name = path_today(public_path(cls)).rpartition(".")
        assert getattr(importlib.import_module(module), name) is cls
