"""Build objects from plain YAML: the only bridge between configs and constructors.

A config may name classes of synthgen, the few of other libraries that are listed below, and those
of packages that the person named on the command line (or installed with a ``synthgen.packages``
entry point). Nothing else is ever imported or called, whatever file the config came from; and of
these only what its place wants, by the annotation of the parameter.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Never

from synthgen.cli.coerce import coerce, describe, parameters_of, suggestion
from synthgen.errors import SynthgenError
from synthgen.moved import path_today
from synthgen.roles import closed, plays, role_inside
from synthgen.serialization import allowed_packages

log = logging.getLogger(__name__)

# Of other libraries single classes, none of which reads a file or opens an address.
OPTIMIZERS = (
    "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop",
    "SGD",
)  # fmt: skip
LAYERS = ("Flatten", "Identity", "Linear")  # for extractor=module
LISTED = frozenset(
    [f"torch.optim.{name}" for name in OPTIMIZERS] + [f"torch.nn.{name}" for name in LAYERS]
)
TARGET, PARTIAL = "_target_", "_partial_"


def build(
    node: Any,
    *,
    key: str,
    role: Any = Any,
    allow: Iterable[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> Any:
    """Turn plain ``node`` (numbers, text, lists, tables) into objects, innermost first.

    ``role`` is what is wanted, a class or an annotation: a class that plays another one is refused
    before it, or anything inside it, is constructed. For what stands inside, the role is the
    annotation of the parameter.

    A table with ``_target_`` becomes an instance of that class, with ``_partial_: true`` a
    ``functools.partial`` of it. A parameter that the config leaves out and that ``facts`` knows is
    filled in, so that nobody retypes the number of channels. ``key`` is where the node stands in
    the config, for messages. ``allow`` names further packages and comes from the command line only.
    """
    facts, allow = facts or {}, tuple(allow)
    if isinstance(node, dict) and TARGET in node:
        return _construct(node, key, role, allow, facts)
    inside = role_inside(role)
    if isinstance(node, list):
        return [
            build(item, key=f"{key}[{position}]", role=inside, allow=allow, facts=facts)
            for position, item in enumerate(node)
        ]
    if not isinstance(node, dict):
        return node
    _refuse_unknown_directives(node, key)
    return {
        name: build(item, key=f"{key}.{name}", role=inside, allow=allow, facts=facts)
        for name, item in node.items()
    }


def check(node: Any, *, key: str, role: Any = Any, allow: Iterable[str] = ()) -> None:
    """Raise what :func:`build` would raise about classes, names and plain values, without building:
    a misspelt key must not be found only after the data were read."""
    inside, allow = role_inside(role), tuple(allow)
    if isinstance(node, list):
        for position, item in enumerate(node):
            check(item, key=f"{key}[{position}]", role=inside, allow=allow)
    elif isinstance(node, dict):
        _refuse_unknown_directives(node, key)
        parameters: Mapping[str, inspect.Parameter] = {}
        slots: dict[str, object] = {}
        if TARGET in node:
            _, parameters, slots = _resolved(node, key, role, allow)
        for name, item in _named(node).items():
            wanted = slots.get(name, Never) if TARGET in node else inside
            check(item, key=f"{key}.{name}", role=wanted, allow=allow)
            if name in parameters and _is_plain(item):
                coerce(item, parameters[name].annotation, f"{key}.{name}")


def _is_plain(item: Any) -> bool:
    """Whether nothing in ``item`` is yet to be built."""
    if isinstance(item, dict):
        return TARGET not in item and PARTIAL not in item and all(map(_is_plain, item.values()))
    return not isinstance(item, list) or all(map(_is_plain, item))


def _named(node: dict[str, object]) -> dict[str, object]:
    return {name: item for name, item in node.items() if name not in (TARGET, PARTIAL)}


def _resolved(
    node: dict[str, object], key: str, role: Any, allow: tuple[str, ...]
) -> tuple[Callable[..., Any], Mapping[str, inspect.Parameter], dict[str, object]]:
    """What ``node`` names, its parameters, and what each wants, once role and names are right."""
    target = find_target(node[TARGET], key, allow)
    _require_role(target, node, role, key)
    if lacking := ", ".join(sorted(getattr(target, "__abstractmethods__", ()))):
        raise SynthgenError(f"{key}.{TARGET}: {node[TARGET]} has no {lacking}() yet.\nWrite it.")
    parameters = parameters_of(target)
    slots = _slots(target, parameters, allow)
    _check_names(_named(node), parameters, key, node[TARGET])
    return target, parameters, slots


def _construct(
    node: dict[str, object], key: str, role: Any, allow: tuple[str, ...], facts: Mapping[str, Any]
) -> Any:
    _refuse_unknown_directives(node, key)
    target, parameters, slots = _resolved(node, key, role, allow)
    named = _named(node)
    arguments = {name: facts[name] for name in parameters if name in facts and name not in named}
    for name, item in named.items():
        wanted = slots.get(name, Never)
        built = build(item, key=f"{key}.{name}", role=wanted, allow=allow, facts=facts)
        annotation = parameters[name].annotation if name in parameters else Any
        arguments[name] = coerce(built, annotation, f"{key}.{name}")
    if coerce(node.get(PARTIAL, False), bool, f"{key}.{PARTIAL}"):
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


def _require_role(target: Callable[..., Any], node: dict[str, object], role: Any, key: str) -> None:
    """Raises SynthgenError for a class that its place has no use for, while it is only a name."""
    partial = coerce(node.get(PARTIAL, False), bool, f"{key}.{PARTIAL}")
    if not plays(target, role, partial=partial):
        wanted = "plain values" if role is Never else describe(role)
        raise SynthgenError(
            f"{key}.{TARGET} is {node[TARGET]}{' (partial)' * partial}, but {key} must be "
            f"{wanted}.\nChoose one of the group's options: {key}=NAME"
        )


def _slots(
    target: Callable[..., Any], parameters: Mapping[str, inspect.Parameter], allow: tuple[str, ...]
) -> dict[str, object]:
    """What each parameter wants. One that doesn't say takes plain values, except in the person's
    own packages, which may leave annotations out."""
    own = _inside(target.__module__, allowed_packages(allow) - {"synthgen"})
    return {
        name: one.annotation if own else closed(one.annotation) for name, one in parameters.items()
    }


def find_target(target: Any, key: str, allow: Iterable[str] = ()) -> Callable[..., Any]:
    """The class called ``target``, if the allow-list admits both that name and where it is really
    defined (a name can be an alias). Functions are admitted from the person's own packages only:
    some of ours write files."""
    typed = coerce(target, str, f"{key}.{TARGET}")
    target, allow = path_today(typed), set(allow)
    if target != typed:
        _tell_new_path(typed, target)
    packages = allowed_packages(allow)
    own = packages - {"synthgen"}
    refused = SynthgenError(
        f"{key}.{TARGET} is {target}, which a config may not build.\n"
        f"It may build classes of {', '.join(sorted(packages))} and torch's optimizers; name your "
        "own package, or another library, on the command line: allow=[mypackage]."
    )
    module_name, _, name = target.rpartition(".")
    if not _inside(module_name, packages) and target not in LISTED:
        raise refused
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise SynthgenError(f"{key}.{TARGET}: there is no {target} ({error}).") from None
    if target in LISTED:
        return found
    genuine = inspect.isclass(found) or (callable(found) and _inside(found.__module__, own))
    if not genuine or not _inside(found.__module__, packages):
        raise refused
    return found


@functools.cache  # once
def _tell_new_path(typed: str, target: str) -> None:
    log.warning("%s is called %s now; the old path works until the next release.", typed, target)


def _inside(module_name: str, packages: Iterable[str]) -> bool:
    return any(module_name == one or module_name.startswith(f"{one}.") for one in packages)


def _refuse_unknown_directives(node: dict[str, object], key: str) -> None:
    for name in node:
        directive = isinstance(name, str) and name.startswith("_") and name.endswith("_")
        if directive and (name not in (TARGET, PARTIAL) or TARGET not in node):
            raise SynthgenError(
                f"{key}.{name} is not understood here.\n"
                f"Only {TARGET}, and {PARTIAL} beside it, have a meaning."
            )


def _check_names(
    named: dict[str, object], parameters: Mapping[str, inspect.Parameter], key: str, target: object
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
    arguments: dict[str, object],
    parameters: Mapping[str, inspect.Parameter],
    key: str,
    target: object,
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
