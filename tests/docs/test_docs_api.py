"""What the API page shows has docstrings that a docs tool can take apart: Google's sections, with
arguments, attributes and exceptions that there are."""

import ast
import builtins
import importlib
import inspect
import re
import textwrap
from dataclasses import dataclass
from functools import cached_property

import pytest
import yaml
from docs_pages import ROOT

import synthgen.errors

SECTIONS = ("Args", "Returns", "Raises", "Attributes")
LISTED = re.compile(r"^::: (\S+)\n((?:    .*\n)*)", re.MULTILINE)
HEADER = re.compile(r"^(\w+):\n", re.MULTILINE)
ENTRY = re.compile(r"\*{0,2}(\w+): \S")  # one name each: griffe reads no "a, b: both"


@dataclass(frozen=True)
class Documented:
    name: str
    value: type | object  # a class or a function

    @cached_property
    def parts(self) -> list[str]:
        """The prose, then by turns the name of a section and what follows it."""
        return HEADER.split(inspect.cleandoc(self.value.__doc__ or ""))

    @cached_property
    def sections(self) -> dict[str, list[str]]:
        """The first line of each entry; deeper lines go on."""
        found = {}
        for name, text in zip(self.parts[1::2], self.parts[2::2], strict=True):
            indented = re.match(r"(?: {4}.*\n?)*", text)[0]
            found[name] = re.findall(r"^ {4}(\S.*)", indented, re.MULTILINE)
        return found

    def names(self, section: str) -> list[str]:
        found = map(ENTRY.match, self.sections.get(section, []))
        return [one[1] for one in found if one]

    @property
    def known(self) -> set[str]:
        """Arguments, and the attributes of a class."""
        bases = getattr(self.value, "__mro__", ())
        annotated = {name for base in bases for name in inspect.get_annotations(base)}
        return {*inspect.signature(self.value).parameters, *annotated, *dir(self.value)}

    @property
    def raises(self) -> bool:
        """Whether a function has such a statement of its own."""
        if inspect.isclass(self.value):
            return False
        tree = ast.parse(textwrap.dedent(inspect.getsource(self.value)))
        return any(isinstance(node, ast.Raise) for node in ast.walk(tree))


def faults(one: Documented) -> list[str]:
    if not one.parts[0]:
        return []  # an override says nothing where the method that it replaces says it
    found = [f"what is {name}?" for name in one.sections if name not in SECTIONS]
    found += [f"{name} is empty" for name, entries in one.sections.items() if not entries]
    for section in one.sections.keys() - {"Returns"}:
        lines = one.sections[section]
        found += [f"no entry: {line}" for line in lines if not ENTRY.match(line)]
    arguments = inspect.signature(one.value).parameters if "Args" in one.sections else {}
    found += [f"no argument: {name}" for name in one.names("Args") if name not in arguments]
    attributes = one.names("Attributes")
    found += [f"no attribute: {name}" for name in attributes if name not in one.known]
    found += [f"no exception: {name}" for name in one.names("Raises") if not is_error(name)]
    if any(re.search(r"\bRaises\b", text) for text in one.parts[::2]):
        found.append("prose says what is raised")
    if one.raises and "Raises" not in one.sections:
        found.append("what it raises isn't told")
    return found


def is_error(name: str) -> bool:
    found = getattr(synthgen.errors, name, getattr(builtins, name, None))
    return inspect.isclass(found) and issubclass(found, BaseException)


def with_members(name: str, value: object) -> list[Documented]:
    """A class or function, and the class's own public methods and properties."""
    found = [Documented(name, value)]
    for key, one in list(vars(value).items()) if inspect.isclass(value) else ():
        function = next(
            (got for way in ("fget", "func", "__func__") if (got := getattr(one, way, None))), one
        )
        if inspect.isfunction(function) and not key.startswith("_"):
            found.append(Documented(f"{name}.{key}", function))
    return found


def shown() -> list[Documented]:
    """What the page lists."""
    found = []
    for place, settings in LISTED.findall((ROOT / "docs" / "api.md").read_text()):
        module = importlib.import_module(place)
        options = (yaml.safe_load(settings) or {}).get("options", {})
        for name in options.get("members") or module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found += with_members(f"{place}.{name}", value)
    return found


def test_docstrings_of_the_api_have_sections_that_can_be_read():
    found = shown()
    assert {"synthgen.load_sampler", "synthgen.samplers.Sampler.sample"} <= {x.name for x in found}
    assert [f"{one.name}: {fault}" for one in found for fault in faults(one)] == []


@pytest.mark.parametrize(
    ("docstring", "fault"),
    [
        ("Does.\n\nArgs:\n    here: good.\n\nRaises:\n    ValueError: always.", None),
        ("Does. Raises ValueError always.\n\nRaises:\n    ValueError: always.", "prose says"),
        ("Does.\n\nArgs:\n    there: bad.\n\nRaises:\n    ValueError: always.", "no argument"),
        ("Does.\n\nArgs:\n    here, there: bad.\n\nRaises:\n    ValueError: always.", "no entry"),
        ("Does.\n\nAttributes:\n    here_too: bad.\n\nRaises:\n    ValueError: x.", "no attribute"),
        ("Does.\n\nRaises:\n    WrongError: always.", "no exception"),
        ("Does.\n\nRaises:\nValueError: always.", "Raises is empty"),
        ("Does.\n\nRaise:\n    ValueError: always.", "what is Raise?"),
        ("Does.", "what it raises isn't told"),
    ],
)
def test_a_section_that_cannot_be_read_is_noticed(docstring, fault):
    def sample(here):
        raise ValueError(here)

    sample.__doc__ = docstring
    found = faults(Documented("sample", sample))
    assert found[:1] == [] if fault is None else found[0].startswith(fault)
