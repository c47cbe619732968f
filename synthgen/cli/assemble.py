"""The pieces that jobs need, built from their settings. Only jobs import this: it is heavy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from synthgen.cli.build import build
from synthgen.cli.coerce import coerce, parameters_of, suggestion
from synthgen.cli.resume import plain_config
from synthgen.data import Source
from synthgen.errors import SynthgenError
from synthgen.tracking import Tracker, open_tracker
from synthgen.tracking.remote import local_samplers

if TYPE_CHECKING:
    from synthgen.cli.settings import Node, TrackedSettings
    from synthgen.tracking.tracker import JobType

T = TypeVar("T")


def build_instance(
    node: Node, kind: type[T], *, key: str, allow: list[str], facts: dict[str, Any] | None = None
) -> T:
    """The object that ``node`` describes, which must be a ``kind``."""
    built = build(node, key=key, role=kind, allow=allow, facts=facts)
    if not isinstance(built, kind):
        raise SynthgenError(
            f"{key} describes a {type(built).__name__}, but must be a {kind.__name__}.\n"
            f"Choose one of the group's options: {key}=NAME"
        )
    return built


def build_source(node: Node, allow: list[str]) -> Source:
    return build_instance(node, Source, key="data", allow=allow)


def keyword_arguments(
    stage: Callable[..., Any], node: Node, key: str, without: Collection[str] = ()
) -> dict[str, Any]:
    """``node`` as arguments of ``stage``: names and types are checked first. Parameters in
    ``without`` are the caller's to give."""
    parameters = parameters_of(stage)
    known = [name for name in parameters if name not in without]
    for name in node:
        if name not in known:
            raise SynthgenError(
                f"{key}.{name} is not a setting.{suggestion(name, known)}\n"
                f"The settings are {', '.join(known)}."
            )
    return {
        name: coerce(item, parameters[name].annotation, f"{key}.{name}")
        for name, item in node.items()
    }


def stage_tracker(settings: TrackedSettings, out: Path, job_type: JobType, run: Path) -> Tracker:
    """The tracker of one stage that writes ``out``; the stages of ``run`` share a group."""
    name = run.absolute().name
    own = {"out": out, "job_type": job_type, "config": {**plain_config(settings), "folder": name}}
    options = keyword_arguments(open_tracker, settings.logger, "logger", without=own)
    group = options.get("group") or name
    return open_tracker(**{**options, **own, "group": group})


@contextmanager
def sampler_here(given: str) -> Iterator[str]:
    """The path of a sampler; one in W&B (``wandb:…``) is downloaded."""
    with local_samplers([given]) as (path,):
        yield path


@contextmanager
def samplers_here(given: str | dict[str, str]) -> Iterator[str | dict[str, str]]:
    """The same for several by name."""
    named = {"": given} if isinstance(given, str) else given
    with local_samplers([*named.values()]) as paths:
        yield paths[0] if isinstance(given, str) else dict(zip(named, paths, strict=True))
