"""How a source's files were read, as a split's recipe keeps it: who divides the same images again
needn't say it again.

Kept is what names columns, arrays, tags, frames and windows. Folders and values (``splits``), and
places (``root``), may tell who is shown or where a person's files lie, and are given each time.
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from synthgen.data.source import Source
from synthgen.dataset.origin import Recipe
from synthgen.errors import SynthgenError


def reading_of(source: Source) -> dict[str, Any]:
    """The settings that decide what is read, by name, where they aren't the usual ones."""
    usual = {field.name: field.default for field in dataclasses.fields(source)}
    found = {name: getattr(source, name) for name in type(source).reading}
    return {name: value for name, value in found.items() if value != usual[name]}


def read_alike(source: Source, recipe: Recipe) -> tuple[Source, dict[str, Any]]:
    """``source`` with what the recipe says of reading wherever it has the usual setting itself, and
    what it got so. Another kind of source is left as it is.

    Raises:
        SynthgenError: the recipe holds no such setting, or one of another type.
    """
    if recipe.source != source.kind or not recipe.reading:
        return source, {}
    kept = _checked(type(source), recipe.reading)
    taken = {name: value for name, value in kept.items() if name not in reading_of(source)}
    return source.with_options(**taken), taken


def differing(source: Source, recipe: Recipe) -> str:
    """The settings of reading that aren't the recipe's, as they are typed, after a space; or ""."""
    here, there = reading_of(source), _plain(recipe.reading or {})
    names = [name for name in {**there, **here} if here.get(name) != there.get(name)]
    if recipe.source != source.kind or not names:
        return ""
    said = " ".join(shown(name, there[name]) for name in names if name in there)
    rest = ", ".join(f"data.{name}" for name in names if name not in there)
    told = [f"It was read with {said}." if said else "", f"{rest} was not set." if rest else ""]
    return "".join(f" {one}" for one in told if one)


def shown(name: str, value: Any) -> str:
    """A setting as it is typed."""
    if isinstance(value, list | tuple):
        plain = [
            int(one) if one == round(one) else one for one in value if not isinstance(one, str)
        ]
        value = f"[{','.join(map(str, plain or value))}]"
    return f"data.{name}={'null' if value is None else value}"


def _plain(reading: Mapping[str, Any]) -> dict[str, Any]:
    """With lists, as settings have them."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in reading.items()
    }


def _checked(kind: type[Source], reading: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe comes with a set, perhaps of a stranger: each value must be what the setting
    takes."""
    hints = typing.get_type_hints(kind, include_extras=True)
    found = {}
    for name, value in _plain(reading).items():
        try:
            if name not in kind.reading:
                raise ValueError(name)
            found[name] = TypeAdapter(hints[name]).validate_python(value, strict=True)
        except (ValidationError, ValueError):
            raise SynthgenError(
                f"The recipe of the split has a setting data.{name[:60]} that data={kind.kind} "
                "doesn't take.\nIt is damaged, or of another version of synthgen."
            ) from None
    return found
