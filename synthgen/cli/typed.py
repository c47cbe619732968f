"""Does a plain value from a config fit a type annotation? The one check behind every message about
a wrong type, for the roots' own keys and for the arguments of everything that is built."""

from __future__ import annotations

import collections.abc
import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Union

from synthgen.errors import SynthgenError

PLAIN = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    type(None): "null",
}
PLURAL = {bool: "truth values", int: "whole numbers", float: "numbers", str: "texts"}
LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable)


class _Misfit(Exception):  # noqa: N818 - control flow inside this file, never seen outside
    """The value does not fit."""


def conform(value: Any, annotation: Any, key: str) -> Any:
    """``value`` as ``annotation`` wants it: 1e6 becomes an int, 3 a float, a list a tuple.

    Annotations that say nothing checkable are satisfied by anything.
    Raises SynthgenError naming ``key`` when the value does not fit.
    """
    try:
        return _fit(value, annotation)
    except _Misfit:
        shown = "null" if value is None else repr(value)
        raise SynthgenError(f"{key} is {shown}, but must be {describe(annotation)}.") from None


def suggestion(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def parameters_of(callable_: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Parameters by name, with their annotations resolved where that is possible."""
    found = dict(inspect.signature(callable_).parameters)
    constructor = callable_.__init__ if inspect.isclass(callable_) else callable_
    try:
        hints = typing.get_type_hints(constructor)
    except (NameError, TypeError, AttributeError):  # names that only a type checker imports
        hints = {}
    return {
        name: parameter.replace(annotation=hints.get(name, Any))
        for name, parameter in found.items()
    }


def describe(annotation: Any) -> str:
    """An annotation in the reader's words."""
    if annotation in PLAIN:
        return PLAIN[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(member) for member in arguments)
    if origin in LISTS:
        items = [PLURAL.get(item, describe(item)) for item in arguments if item is not Ellipsis]
        return f"a list of {' and '.join(dict.fromkeys(items))}" if items else "a list"
    if annotation in LISTS:
        return "a list"
    if dict in (origin, annotation):
        return "a table of key: value"
    if origin is collections.abc.Callable:
        return "something callable (a _target_ with _partial_: true)"
    name = getattr(annotation, "__name__", str(annotation))
    return f"a {name} (an option of its config group)"


def _fit(value: Any, annotation: Any) -> Any:
    if annotation in (Any, inspect.Parameter.empty):
        return value
    if annotation is None:
        annotation = type(None)
    if annotation in PLAIN:
        return _fit_plain(value, annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return _require(value, any(value == c and type(value) is type(c) for c in arguments))
    if origin in (Union, types.UnionType):
        return _fit_union(value, arguments)
    kind = origin or annotation
    if kind in LISTS:
        return _fit_list(value, kind, arguments)
    if kind in (dict, collections.abc.Mapping):
        return _fit_table(value, arguments)
    if kind is collections.abc.Callable:
        return _require(value, callable(value))
    if inspect.isclass(kind) and kind is not type:
        return _fit_class(value, kind)
    return value


def _require(value: Any, fits: bool) -> Any:
    if not fits:
        raise _Misfit
    return value


def _fit_plain(value: Any, kind: type) -> Any:
    if kind is float:
        _require(value, isinstance(value, int | float) and not isinstance(value, bool))
        return float(value)
    if kind is int:
        if isinstance(value, float) and value.is_integer():  # max_images=1e6
            return int(value)
        return _require(value, isinstance(value, int) and not isinstance(value, bool))
    if kind in (str, Path):
        if isinstance(value, int) and not isinstance(value, bool):  # out=2024
            value = str(value)
        return kind(_require(value, isinstance(value, str | kind)))
    return _require(value, isinstance(value, kind))


def _fit_union(value: Any, members: tuple[Any, ...]) -> Any:
    for member in sorted(members, key=lambda member: member is not type(value)):  # exact type first
        try:
            return _fit(value, member)
        except _Misfit:
            continue
    raise _Misfit


def _fit_list(value: Any, kind: Any, items: tuple[Any, ...]) -> Any:
    _require(value, isinstance(value, list | tuple | set | frozenset))
    fixed = kind is tuple and items and Ellipsis not in items
    if fixed:
        _require(value, len(value) == len(items))
        return tuple(_fit(item, one) for item, one in zip(value, items, strict=True))
    fitted = [_fit(item, items[0]) if items else item for item in value]
    return kind(fitted) if kind in (tuple, set, frozenset) else fitted


def _fit_table(value: Any, arguments: tuple[Any, ...]) -> Any:
    _require(value, isinstance(value, dict))
    if not arguments:
        return value
    return {_fit(k, arguments[0]): _fit(v, arguments[1]) for k, v in value.items()}


def _fit_class(value: Any, kind: type) -> Any:
    if getattr(kind, "_is_protocol", False):  # structure can't be checked; plain values are wrong
        plain = value is None or isinstance(value, bool | int | float | str | list | dict)
        return _require(value, not plain)
    return _require(value, isinstance(value, kind))
