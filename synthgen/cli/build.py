"""Build objects from plain YAML: the only bridge between configs and constructors.

A config may name classes of the packages below and of packages that the person named on the
command line (or installed with a ``synthgen.packages`` entry point). Nothing else is ever imported
or called, whatever file the config came from.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from synthgen.cli.typed import conform, parameters_of, suggestion
from synthgen.errors import SynthgenError
from synthgen.spec import allowed_packages

LIBRARIES = frozenset(
    {
        "torch.nn",
        "torch.optim",
        "torchvision.transforms",
        "pytorch_lightning",
        "torchmetrics",
        "sklearn",
    }
)
TARGET, PARTIAL = "_target_", "_partial_"


def build(
    node: Any, *, key: str, allow: Iterable[str] = (), facts: Mapping[str, Any] | None = None
) -> Any:
    """Turn plain ``node`` (numbers, text, lists, tables) into objects, innermost first.

    A table with ``_target_`` becomes an instance of that class, with ``_partial_: true`` a
    ``functools.partial`` of it. A parameter that the config leaves out and that ``facts`` knows is
    filled in, so that nobody retypes the number of channels. ``key`` is where the node stands in
    the config, for messages. ``allow`` names further packages and comes from the command line only.
    """
    facts, allow = facts or {}, tuple(allow)
    if isinstance(node, list):
        return [
            build(item, key=f"{key}[{position}]", allow=allow, facts=facts)
            for position, item in enumerate(node)
        ]
    if not isinstance(node, dict):
        return node
    if TARGET in node:
        return _construct(node, key, allow, facts)
    _refuse_unknown_directives(node, key)
    return {
        name: build(item, key=f"{key}.{name}", allow=allow, facts=facts)
        for name, item in node.items()
    }


def check(node: Any, *, key: str, allow: Iterable[str] = ()) -> None:
    """Raise what :func:`build` would raise about classes, names and plain values, without building:
    a misspelt key must not be found only after the data were read."""
    if isinstance(node, list):
        for position, item in enumerate(node):
            check(item, key=f"{key}[{position}]", allow=allow)
    elif isinstance(node, dict):
        _refuse_unknown_directives(node, key)
        parameters: Mapping[str, inspect.Parameter] = {}
        if TARGET in node:
            parameters = parameters_of(find_target(node[TARGET], key, allow))
            _check_names(_named(node), parameters, key, node[TARGET])
        for name, item in _named(node).items():
            check(item, key=f"{key}.{name}", allow=allow)
            if name in parameters and _is_plain(item):
                conform(item, parameters[name].annotation, f"{key}.{name}")


def _is_plain(item: Any) -> bool:
    """Whether nothing in ``item`` is yet to be built."""
    if isinstance(item, dict):
        return TARGET not in item and PARTIAL not in item and all(map(_is_plain, item.values()))
    return not isinstance(item, list) or all(map(_is_plain, item))


def _named(node: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in node.items() if name not in (TARGET, PARTIAL)}


def _construct(
    node: dict[str, Any], key: str, allow: tuple[str, ...], facts: Mapping[str, Any]
) -> Any:
    _refuse_unknown_directives(node, key)
    target = find_target(node[TARGET], key, allow)
    parameters = parameters_of(target)
    named = _named(node)
    _check_names(named, parameters, key, node[TARGET])
    arguments = {name: facts[name] for name in parameters if name in facts and name not in named}
    for name, item in named.items():
        built = build(item, key=f"{key}.{name}", allow=allow, facts=facts)
        annotation = parameters[name].annotation if name in parameters else Any
        arguments[name] = conform(built, annotation, f"{key}.{name}")
    if conform(node.get(PARTIAL, False), bool, f"{key}.{PARTIAL}"):
        partial = functools.partial(target, **arguments)
        _try_optimizer(partial, key)
        return partial
    _check_complete(arguments, parameters, key, node[TARGET])
    try:
        return target(**arguments)
    except ValueError as error:  # a constructor that refuses a value; a TypeError would be a bug
        raise SynthgenError(f"{key}: {error}") from error


def _try_optimizer(partial: functools.partial[Any], key: str) -> None:
    """An optimizer looks at its settings when it gets parameters, which is after the data were
    read: give it one now."""
    if not inspect.isclass(partial.func) or not partial.func.__module__.startswith("torch.optim"):
        return
    from torch import nn, optim, zeros  # slow to import, and not every verb that builds needs it

    if issubclass(partial.func, optim.Optimizer):
        try:
            partial([nn.Parameter(zeros(1))])
        except (ValueError, RuntimeError) as error:
            raise SynthgenError(f"{key}: {str(error).splitlines()[0]}") from None


def find_target(target: Any, key: str, allow: Iterable[str] = ()) -> Callable[..., Any]:
    """The class called ``target``, if the allow-list admits both that name and where it is really
    defined (a name can be an alias). Functions are admitted from the person's own packages only:
    some of ours write files."""
    target, allow = conform(target, str, f"{key}.{TARGET}"), set(allow)
    packages = LIBRARIES | allowed_packages(allow)
    own = packages - LIBRARIES - {"synthgen"}
    refused = SynthgenError(
        f"{key}.{TARGET} is {target}, which a config may not build.\n"
        f"It may build classes of {', '.join(sorted(packages))}; "
        "name your own package on the command line: allow=[mypackage]."
    )
    module_name, _, name = target.rpartition(".")
    if not _inside(module_name, packages):
        raise refused
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise SynthgenError(f"{key}.{TARGET}: there is no {target} ({error}).") from None
    genuine = inspect.isclass(found) or (callable(found) and _inside(found.__module__, own))
    if not genuine or not _inside(found.__module__, packages):
        raise refused
    return found


def _inside(module_name: str, packages: Iterable[str]) -> bool:
    return any(module_name == one or module_name.startswith(f"{one}.") for one in packages)


def _refuse_unknown_directives(node: dict[str, Any], key: str) -> None:
    for name in node:
        directive = isinstance(name, str) and name.startswith("_") and name.endswith("_")
        if directive and (name not in (TARGET, PARTIAL) or TARGET not in node):
            raise SynthgenError(
                f"{key}.{name} is not understood here.\n"
                f"Only {TARGET}, and {PARTIAL} beside it, have a meaning."
            )


def _check_names(
    named: dict[str, Any], parameters: Mapping[str, inspect.Parameter], key: str, target: str
) -> None:
    kinds = {parameter.kind for parameter in parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return
    for name in named:
        if name not in parameters:
            raise SynthgenError(
                f"{key}.{name}: {target} has no '{name}'.{suggestion(str(name), parameters)}\n"
                f"It takes {', '.join(parameters) or 'nothing'}."
            )


def _check_complete(
    arguments: dict[str, Any], parameters: Mapping[str, inspect.Parameter], key: str, target: str
) -> None:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in variadic
        and name not in arguments
    ]
    if missing:
        raise SynthgenError(
            f"{key}: {target} also needs {', '.join(missing)}.\n"
            f"Set it on the command line: {key}.{missing[0]}=VALUE"
        )
