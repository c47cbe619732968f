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
from typing import Any

from synthgen.errors import SynthgenError
from synthgen.types import ImageSpec

IMAGE_KEY = "_image_"


class Rebuildable:
    """Mixin that remembers the arguments of its constructor.

    Arguments must be None, bool, int, float, str, an :class:`ImageSpec`, another Rebuildable, or
    lists, tuples and dicts of these.
    """

    constructor_arguments: dict[str, Any]

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


def _by_name(signature: inspect.Signature, bound: inspect.BoundArguments) -> dict[str, Any]:
    """The arguments without ``self``, as keywords; ``**settings`` are spread out again."""
    arguments: dict[str, Any] = {}
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
        target = f"{type(value).__module__}.{type(value).__qualname__}"
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


def from_spec(value: Any, allow: Iterable[str] = ()) -> Any:
    """Rebuild what :func:`to_spec` described. ``allow`` names further top-level packages."""
    if isinstance(value, list):
        return [from_spec(item, allow) for item in value]
    if not isinstance(value, dict):
        return value
    if IMAGE_KEY in value:
        return ImageSpec.from_json(value[IMAGE_KEY])
    arguments = {key: from_spec(item, allow) for key, item in value.items() if key != "_target_"}
    if "_target_" not in value:
        return arguments
    cls = find_class(str(value["_target_"]), allow)
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:
        raise SynthgenError(f"{value['_target_']} can't be rebuilt: {error}") from error


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
