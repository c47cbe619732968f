"""Which classes may stand in a slot: known from the slot's annotation, before anything is built.

A file names classes; the constructor that takes them says what it wants. Whatever plays no role
there is refused while it is still a name: a constructor may open files and addresses.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Never, TypeVar, Union

UNIONS = (Union, types.UnionType)
UNKNOWN = (Any, object, inspect.Parameter.empty)
LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable)
TABLES = (dict, collections.abc.Mapping)


def is_known(role: Any) -> bool:
    """Whether an annotation says what is wanted."""
    return not any(role is one for one in UNKNOWN)


def plays(target: Callable[..., Any], role: Any, *, partial: bool = False) -> bool:
    """Whether what ``target`` (a class, or a function with its annotation) makes fits the
    annotation ``role``; with ``partial``, whether ``functools.partial(target)`` does.

    Of a protocol the methods are looked for; its data may be set by the constructor.
    """
    if not is_known(role):
        return True
    origin, members = typing.get_origin(role), typing.get_args(role)
    if origin is Annotated:
        return plays(target, members[0], partial=partial)
    if origin in UNIONS:
        return any(plays(target, member, partial=partial) for member in members)
    if isinstance(role, TypeVar):
        return plays(target, role.__bound__ or Any, partial=partial)
    if collections.abc.Callable in (origin, role):
        return _plays_callable(target, members[-1] if members else Any, partial)
    kind = origin or role
    if partial or not inspect.isclass(kind):  # a literal, say, or None
        return False
    made = made_by(target)
    if not inspect.isclass(made):  # a function of the person's own that doesn't say
        return True
    if getattr(kind, "_is_protocol", False):
        return all(_has(made, name) for name in methods_of(kind))
    return issubclass(made, kind)


def role_inside(role: Any) -> Any:
    """What a slot wants as items of a list and values of a table; ``Never`` if it takes neither."""
    if not is_known(role):
        return Any
    origin, members = typing.get_origin(role), typing.get_args(role)
    if origin is Annotated:
        return role_inside(members[0])
    if origin in UNIONS:
        inner = [role_inside(member) for member in members]
        wanted = [one for one in inner if one is not Never]
        return Union[tuple(wanted)] if wanted else Never  # noqa: UP007 - made at run time
    if (origin or role) in LISTS:
        items = tuple(member for member in members if member is not Ellipsis)
        return Union[items] if items else Any  # noqa: UP007
    if (origin or role) in TABLES:
        return members[1] if members else Any
    return Never


def closed(role: Any) -> Any:
    """``role`` with nothing left open: where it says nothing, only plain values are wanted."""
    if not is_known(role):
        return Never
    origin, members = typing.get_origin(role), typing.get_args(role)
    if origin is Annotated:
        return closed(members[0])
    kind, inner = origin or role, tuple(one if one is ... else closed(one) for one in members)
    if kind in UNIONS:
        return Union[inner]  # noqa: UP007
    if kind in TABLES:
        return dict[str, inner[1] if inner else Never]  # type: ignore[misc] # made at run time
    if kind in LISTS:
        return tuple[inner or (Never, ...)]  # type: ignore[misc] # likewise
    return role


@functools.cache
def slots_of(target: Callable[..., Any]) -> dict[str, object]:
    """The annotations of a constructor's parameters, resolved; ``Any`` where there is none."""
    constructor = target.__init__ if inspect.isclass(target) else target
    try:
        hints = typing.get_type_hints(constructor)
    except (NameError, TypeError, AttributeError):  # names that only a type checker imports
        hints = {}
    return {name: hints.get(name, Any) for name in inspect.signature(target).parameters}


def made_by(target: Callable[..., Any]) -> Any:
    """The class of what a call gives; ``Any`` for a function that doesn't say."""
    if inspect.isclass(target):
        return target
    try:
        return typing.get_type_hints(target).get("return", Any)
    except (NameError, TypeError, AttributeError):
        return Any


def methods_of(protocol: type) -> set[str]:
    """Names of what a protocol's classes must be able to do."""
    bases = [base for base in protocol.__mro__ if getattr(base, "_is_protocol", False)]
    return {
        name
        for base in bases
        for name, member in vars(base).items()
        if (name == "__call__" or not name.startswith("_"))
        and (callable(member) or isinstance(member, property))
    }


def _plays_callable(target: Callable[..., Any], result: Any, partial: bool) -> bool:
    if partial:
        return plays(target, result)
    return not inspect.isclass(target) or _has(target, "__call__")


def _has(cls: type, name: str) -> bool:
    """Whether its instances do; every class has a ``__call__`` itself."""
    return any(name in vars(base) for base in cls.__mro__ if base is not object)
