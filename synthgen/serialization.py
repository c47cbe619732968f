"""Record how an object was constructed, and rebuild it from JSON without running strangers' code.

An artifact names classes (``_target_``) and their plain arguments. Only subclasses of
:class:`Rebuildable` that live in this package, or in a package the *user* named, are ever built:
a file that came from elsewhere can't widen that list.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Iterable
from functools import wraps
from typing import Any, Never

from synthgen.errors import SynthgenError
from synthgen.moved import path_today
from synthgen.roles import closed, plays, role_inside, slots_of
from synthgen.types import ImageSpec

IMAGE_KEY = "_image_"
# What constructors raise for values of another kind than they were recorded with.
UNFIT = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError)


class Rebuildable:
    """Mixin that remembers the arguments of its constructor.

    Arguments must be None, bool, int, float, str, an :class:`ImageSpec`, another Rebuildable, or
    lists, tuples and dicts of these.
    """

    constructor_arguments: dict[str, object]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]


def _recording(init: Any) -> Any:
    signature = inspect.signature(init)

    @wraps(init)
    def wrapper(self: Rebuildable, *args: Any, **kwargs: Any) -> None:
        if "constructor_arguments" not in self.__dict__:  # the outermost class's own arguments
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()  # a default that changes later must not change old samplers
            object.__setattr__(self, "constructor_arguments", _by_name(signature, bound))
        init(self, *args, **kwargs)

    return wrapper


def _by_name(signature: inspect.Signature, bound: inspect.BoundArguments) -> dict[str, object]:
    """The arguments without ``self``, as keywords; ``**settings`` are spread out again."""
    arguments: dict[str, object] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            raise TypeError(f"*{name} can't be recorded; take a sequence instead")
        arguments.update(value if kind is inspect.Parameter.VAR_KEYWORD else {name: value})
    return arguments


def to_spec(value: Any) -> Any:
    """The JSON form of a Rebuildable and its arguments (or of one argument)."""
    if isinstance(value, Rebuildable):
        arguments = getattr(value, "constructor_arguments", {})
        target = public_path(type(value))
        return {"_target_": target, **{key: to_spec(item) for key, item in arguments.items()}}
    if isinstance(value, ImageSpec):
        return {IMAGE_KEY: value.to_json()}
    if isinstance(value, list | tuple):
        return [to_spec(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_spec(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} of type {type(value).__name__} can't be recorded in a sampler")


def public_path(cls: type) -> str:
    """The shortest path of ``cls``: that of the outermost package which exports it, so that a file
    outlives moves within the house."""
    parts = cls.__module__.split(".")
    for size in range(2, len(parts)):
        package = importlib.import_module(".".join(parts[:size]))
        if getattr(package, cls.__qualname__, None) is cls:
            return f"{package.__name__}.{cls.__qualname__}"
    return f"{cls.__module__}.{cls.__qualname__}"


def from_spec(value: Any, allow: Iterable[str] = (), role: Any = Any) -> Any:
    """Rebuild what :func:`to_spec` described. ``allow`` names further top-level packages, ``role``
    is the class or annotation that is wanted: a class that plays another one is refused before it
    or anything inside it is constructed."""
    if isinstance(value, list):
        return [from_spec(item, allow, role_inside(role)) for item in value]
    if not isinstance(value, dict):
        return value
    if IMAGE_KEY in value:
        return ImageSpec.from_json(value[IMAGE_KEY])
    if "_target_" not in value:
        return {key: from_spec(item, allow, role_inside(role)) for key, item in value.items()}
    target = str(value["_target_"])
    cls = find_class(target, allow)
    if not plays(cls, role):
        raise SynthgenError(
            f"{target} can't stand where {getattr(role, '__name__', role)} is wanted.\n"
            "The file is damaged, or was not written by synthgen."
        )
    slots = _slots(cls, allow)
    given = {key: item for key, item in value.items() if key != "_target_"}
    arguments = {key: from_spec(item, allow, slots.get(key, Never)) for key, item in given.items()}
    try:
        return cls(**arguments)
    except UNFIT as error:
        raise SynthgenError(f"{target} can't be rebuilt: {error}") from error


def _slots(cls: type[Rebuildable], allow: Iterable[str]) -> dict[str, object]:
    """What each argument wants; one that doesn't say takes plain values, except in packages of the
    user's own, which may leave annotations out."""
    slots = slots_of(cls)  # type: ignore[arg-type]
    if cls.__module__.split(".")[0] in allowed_packages(allow) - {"synthgen"}:
        return slots
    return {name: closed(role) for name, role in slots.items()}


def allowed_packages(allow: Iterable[str] = ()) -> set[str]:
    """This package, packages installed with a ``synthgen.packages`` entry point, and the user's."""
    return {"synthgen", *installed_packages(), *allow}


@functools.cache  # reading what is installed takes milliseconds, and a config names many classes
def installed_packages() -> frozenset[str]:
    """Packages with a ``synthgen.packages`` entry point."""
    entries = importlib.metadata.entry_points(group="synthgen.packages")
    return frozenset(entry.module.split(".")[0] for entry in entries)


def find_class(target: str, allow: Iterable[str] = ()) -> type[Rebuildable]:
    """The class called ``target``, if its package is allowed and it is a Rebuildable."""
    target = path_today(target)
    packages = allowed_packages(allow)
    refused = SynthgenError(
        f"{target} is not on the list of classes that may be loaded.\n"
        f"Allowed packages: {', '.join(sorted(packages))}; name your own with allow=[package]."
    )
    module_name, _, name = target.rpartition(".")
    if module_name.split(".")[0] not in packages:
        raise refused
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError):
        raise SynthgenError(f"There is no class {target} in this installation.") from None
    genuine = inspect.isclass(found) and issubclass(found, Rebuildable)
    if not genuine or found.__module__.split(".")[0] not in packages:
        raise refused
    return found
