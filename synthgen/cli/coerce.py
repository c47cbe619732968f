"""Does a plain value from a config fit a type annotation? The one check behind every message about
a wrong type, for the roots' own keys and for the arguments of everything that is built."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen

from synthgen.errors import SynthgenError, nearest
from synthgen.ranges import Values

PLAIN = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    type(None): "null",
    None: "null",
}
PLURAL = {bool: "truth values", int: "whole numbers", float: "numbers", str: "texts"}
LONGEST_INT = 2**63  # what torch, JSON readers and files keep
FAR = 10**15
LONGEST_SHOWN = 60  # characters of a refused value
LISTS = {list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable}


class _Misfit(Exception):  # noqa: N818 - control flow inside this file, never seen outside
    """The value does not fit; its argument, if any, says what of it."""


def coerce(value: Any, annotation: Any, key: str) -> Any:
    """``value`` as ``annotation`` wants it: 1e6 becomes an int, 3 a float, a list a tuple.

    Annotations that say nothing checkable are satisfied by anything. Ranges are those of
    :mod:`synthgen.ranges` (``annotated_types``); numbers are finite and below 2**63 in any case.
    Raises SynthgenError naming ``key`` when the value does not fit.
    """
    try:
        return _fit(value, annotation)
    except _Misfit as misfit:
        shown = misfit.args[0] if misfit.args else _shown(value)
        far = isinstance(value, int | float) and FAR <= abs(value) < math.inf
        expected = describe(annotation, far=far)
        raise SynthgenError(f"{key} is {shown}, but must be {expected}.") from None


def _shown(value: Any) -> str:
    try:
        text = "null" if value is None else repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` or nothing."""
    close = nearest(word, known)
    return f" Did you mean '{close}'?" if close else ""


@functools.cache  # a scene of a hundred parts names each class again and again
def parameters_of(callable_: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Parameters by name, with their annotations resolved where that is possible."""
    found = dict(inspect.signature(callable_).parameters)
    constructor = callable_.__init__ if inspect.isclass(callable_) else callable_
    try:
        hints = typing.get_type_hints(constructor, include_extras=True)
    except (NameError, TypeError, AttributeError):  # names that only a type checker imports
        hints = {}
    return types.MappingProxyType(
        {
            name: parameter.replace(annotation=hints.get(name, Any))
            for name, parameter in found.items()
        }
    )


def describe(annotation: Any, *, far: bool = False) -> str:
    """An annotation in the reader's words; limits that only keep numbers within what a machine can
    hold are told only if ``far``, where the value is beyond them."""
    if annotation in PLAIN:
        return PLAIN[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _describe_limited(arguments[0], arguments[1:], far)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(member, far=far) for member in arguments))
    if LISTS.intersection((origin, annotation)):
        return " of ".join(["a list", *_items(arguments, far)])
    if dict in (origin, annotation):
        return "a table of key: value"
    if origin is collections.abc.Callable:
        return "something callable (a _target_ with _partial_: true)"
    name = getattr(annotation, "__name__", str(annotation))
    return f"a {name} (an option of its config group)"


def _describe_limited(base: Any, metadata: Iterable[Any], far: bool) -> str:
    limits = {type(limit): limit for limit in _single(metadata)}
    if Values in limits:
        return f"a schedule, always {describe(limits[Values].range_, far=far)}"
    if typing.get_origin(base) in LISTS:
        items = _items(typing.get_args(base), far)
        return f"a list of {' '.join([_length(limits), *items])}"
    return " ".join([describe(base, far=far), *_limits(limits, far)])


def _items(arguments: Iterable[Any], far: bool) -> list[str]:
    words = [_plural(item, far) for item in arguments if item is not Ellipsis]
    return [" and ".join(dict.fromkeys(words))] if words else []


def _plural(annotation: Any, far: bool) -> str:
    base, *metadata = [annotation]
    if typing.get_origin(annotation) is Annotated:
        base, *metadata = typing.get_args(annotation)
    if base not in PLURAL:
        return describe(annotation, far=far)
    return " ".join([PLURAL[base], *_limits({type(one): one for one in _single(metadata)}, far)])


def _limits(limits: Mapping[type, Any], far: bool) -> list[str]:
    """In words: "from 1 to 8", "above 0 and below 1"."""
    names = {Ge: "ge", Gt: "gt", Le: "le", Lt: "lt"}
    ends = {kind: getattr(limits[kind], name) for kind, name in names.items() if kind in limits}
    said = {kind: f"{end:,}" for kind, end in ends.items() if far or abs(end) < FAR}
    if Ge in said and Le in said:
        return [f"from {said[Ge]} to {said[Le]}"]
    forms = {Ge: "of {} or more", Gt: "above {}", Le: "up to {}", Lt: "below {}"}
    words = [form.format(said[kind]) for kind, form in forms.items() if kind in said]
    return [" and ".join(words)] if words else []


def _length(limits: Mapping[type, Any]) -> str:
    least = limits[MinLen].min_length if MinLen in limits else 0
    if MaxLen not in limits:
        return f"{least} or more"
    most = limits[MaxLen].max_length
    return f"{least}" if least == most else f"{least} to {most}"


def _single(metadata: Iterable[Any]) -> Iterator[Any]:
    for one in metadata:
        yield from one if isinstance(one, GroupedMetadata) else (one,)


def _fit(value: Any, annotation: Any) -> Any:
    if annotation in (Any, inspect.Parameter.empty):
        return value
    if annotation in PLAIN:
        return _fit_plain(value, annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _fit_limits(_fit(value, arguments[0]), arguments[1:])
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


def _fit_limits(value: Any, metadata: Iterable[Any]) -> Any:
    """Metadata of other kinds says nothing here."""
    holds = {
        Gt: lambda limit: value > limit.gt,
        Ge: lambda limit: value >= limit.ge,
        Lt: lambda limit: value < limit.lt,
        Le: lambda limit: value <= limit.le,
        MinLen: lambda limit: len(value) >= limit.min_length,
        MaxLen: lambda limit: len(value) <= limit.max_length,
    }
    for one in _single(metadata):
        if isinstance(one, Values):
            _try_values(value, one.range_)
        elif type(one) in holds:
            _require(value, holds[type(one)](one))
    return value


def _try_values(function: Callable[[float], Any], range_: Any) -> None:
    """A schedule of the person's own is a function like any other: its values are looked at."""
    for tenths in range(11):
        given = function(tenths / 10)
        try:
            _fit(given, range_)
        except _Misfit:
            raise _Misfit(f"{_shown(given)} at progress {tenths / 10:g}") from None


def _fit_plain(value: Any, kind: type) -> Any:
    if kind in (int, float):
        return _fit_number(value, kind)
    if kind in (str, Path):
        if isinstance(value, int) and not isinstance(value, bool):  # out=2024
            value = str(value)
        fits = isinstance(value, str | kind) and "\0" not in str(value)  # no path may hold one
        return kind(_require(value, fits))
    return _require(value, isinstance(value, kind or type(None)))


def _fit_number(value: Any, kind: type) -> int | float:
    _require(value, isinstance(value, int | float) and not isinstance(value, bool))
    _require(value, not isinstance(value, int) or abs(value) < LONGEST_INT)
    _require(value, math.isfinite(value))
    if kind is float:
        return float(value)
    _require(value, float(value).is_integer())  # max_images=1e6
    return int(_require(value, abs(value) < LONGEST_INT))


def _bare(annotation: Any) -> Any:
    is_annotated = typing.get_origin(annotation) is Annotated
    return typing.get_args(annotation)[0] if is_annotated else annotation


def _fit_union(value: Any, members: tuple[Any, ...]) -> Any:
    # The exact type first.
    said: tuple[Any, ...] = ()
    for member in sorted(members, key=lambda member: _bare(member) is not type(value)):
        try:
            return _fit(value, member)
        except _Misfit as misfit:
            said = said or misfit.args
    raise _Misfit(*said)


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
