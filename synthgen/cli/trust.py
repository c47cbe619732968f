"""Config files from elsewhere may choose among what is allowed; they can't widen it.

Hydra itself imports and calls whatever the ``hydra`` part of a config names (callbacks, launchers,
log handlers), and a resolver such as ``${oc.env:NAME}`` reads what the person never meant to write
down. Files that did not come with synthgen hold neither. ``compose.py`` asks this module about
every such file as it is read, and about what was composed before anything is built from it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from synthgen.errors import SynthgenError
from synthgen.io import config_dir

HYDRA = "hydra"
MOST_BYTES, MOST_VALUES = 1_000_000, 50_000
INTERPOLATION = re.compile(r"\$\{[^${}:]*\}")  # of another key of the config; nothing is called
# What Hydra fills in itself: where configs came from, what was asked for, the job's name.
OF_THE_CALL = {
    "overrides": None,
    "runtime": None,
    "searchpath": None,
    "job": ("name", "override_dirname", "id", "num", "config_name"),
}


def require_own_packages(allow: Sequence[str], arguments: Sequence[str]) -> None:
    """Packages are allowed by the command line; raises SynthgenError if only a config did."""
    if allow and not _is_set("allow", arguments):
        raise SynthgenError(
            f"A config file asks for allow=[{','.join(allow)}], and no file may admit code.\n"
            "If you trust these packages, name them on the command line."
        )


def require_own_address(out: str | None, arguments: Sequence[str]) -> None:
    """A set is sent to an address only if the command line says so; raises SynthgenError if a
    config did."""
    if out is not None and "://" in out and not _is_set("out", arguments):
        raise SynthgenError(
            f"A config file asks for out={out}, and no file may send images to an address.\n"
            "If you want that, give out= on the command line."
        )


def _is_set(key: str, arguments: Sequence[str]) -> bool:
    return any(argument.lstrip("+").partition("=")[0] == key for argument in arguments)


def require_inside(config_path: str) -> None:
    """Raises SynthgenError for the path of a config that leaves its folder."""
    if ".." in PurePosixPath(config_path).parts or config_path.startswith("/"):
        raise SynthgenError(
            f"A config file names {config_path}, which lies outside its folder of configs.\n"
            "Copy that file into the folder, and name it without '..' and without a leading '/'."
        )


def require_no_link_out(folder: Path, config_path: str) -> None:
    """Raises SynthgenError if the file ``config_path`` of ``folder`` really lies elsewhere."""
    path = folder / config_path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SynthgenError(
            f"{path} is a link to what lies outside {folder}, or lies behind one.\n"
            "Copy the file into the folder."
        )


def require_modest(path: Path) -> None:
    """Raises SynthgenError for a file that would fill the memory: a few lines that refer to each
    other again and again can stand for billions of values, and OmegaConf writes all of them out."""
    if path.stat().st_size <= MOST_BYTES:
        try:
            root = yaml.compose(path.read_bytes(), Loader=yaml.SafeLoader)
            if root is None or values_in(root, {}) <= MOST_VALUES:
                return
        except RecursionError:
            pass  # refused below
        except yaml.YAMLError:
            return  # Hydra will say what is wrong with it
    raise SynthgenError(
        f"{path} is too large for a config ({MOST_BYTES:,} bytes and {MOST_VALUES:,} values at "
        "most), or nested without end.\nGive settings alone; data belong in files of their own."
    )


def values_in(node: yaml.Node, known: dict[int, float]) -> float:
    """The values that ``node`` stands for with all references written out; infinite for one inside
    itself. ``known`` holds those of nodes that were counted before."""
    if id(node) not in known:
        known[id(node)] = math.inf  # while it is counted
        inside: Iterator[yaml.Node] = iter(())
        if isinstance(node, yaml.MappingNode):
            inside = (part for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            inside = iter(node.value)
        known[id(node)] = 1 + sum(values_in(part, known) for part in inside)
    return known[id(node)]


def is_copy_of_ours(folder: Path, config_path: str) -> bool:
    """Whether it is, to the byte, one of our own files."""
    original, path = config_dir() / config_path, folder / config_path
    return original.is_file() and path.is_file() and original.read_bytes() == path.read_bytes()


def require_plain_config(
    place: str, config_path: str, package: str | None, content: Any, defaults: Any
) -> None:
    """Raises SynthgenError if a config file sets something below ``hydra`` or calls a resolver.

    ``place`` is the file, for messages; ``config_path`` its path in the folder of configs,
    ``package`` what its ``# @package`` line says, ``content`` its plain values, not resolved, and
    ``defaults`` what its defaults list holds.
    """
    names = [*PurePosixPath(config_path).parts[:1], *_names(package or "")]
    if isinstance(content, Mapping):
        names += [name for key in content for name in str(key).split(".")[:1]]
    for word in _words(defaults):
        names += _names(word)
    if HYDRA in names:
        raise SynthgenError(
            f"{place} has settings of Hydra's own, which could run any code.\n"
            "If you trust them, give them on the command line: hydra.KEY=VALUE"
        )
    for word in (package or "", *_words(content), *_words(defaults)):
        if calls_resolver(word):
            raise SynthgenError(
                f"{place} holds {word!r}, and a file from elsewhere may only refer to other keys, "
                "as in ${seed}.\nWrite the value itself, or give it on the command line."
            )


def require_same_hydra(
    composed: Mapping[str, Any], overrides: Sequence[str], own: Sequence[Mapping[str, Any]]
) -> None:
    """Raises SynthgenError if the ``hydra`` node ``composed`` with files from elsewhere is none of
    ``own``, those that the command line's ``overrides`` give without them (plain values, not
    resolved)."""
    found = _settled(composed)
    ours = [_settled(one) for one in own]
    recorded = [one for kind in composed["overrides"].values() for one in kind]
    if found not in ours or not set(overrides).issuperset(recorded):
        keys = sorted(key for key in found if all(found[key] != one.get(key) for one in ours))
        raise SynthgenError(
            f"A config file changes Hydra's own settings ({', '.join(keys) or 'several'}), which "
            "could run any code.\n"
            "If you trust them, give them on the command line: hydra.KEY=VALUE"
        )


def calls_resolver(text: str) -> bool:
    """Whether an interpolation in ``text`` is more than the name of another key."""
    while (plainer := INTERPOLATION.sub("", text)) != text:  # from the inside out
        text = plainer
    return "${" in text


def _settled(hydra: Mapping[str, Any]) -> dict[str, object]:
    """The node without what belongs to the single call."""
    kept: dict[str, object] = {}
    for key, value in hydra.items():
        left_out = OF_THE_CALL.get(key, ())
        if left_out is None:
            continue
        tabled = isinstance(value, Mapping) and left_out
        kept[key] = {k: v for k, v in value.items() if k not in left_out} if tabled else value
    return kept


def _names(text: str) -> list[str]:
    """The parts of a group, a package or an item of a defaults list."""
    return re.split(r"[\s/@.:]+", text)


def _words(node: Any) -> Iterator[str]:
    """Every key and every text of nested plain values."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from (str(key), *_words(value))
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _words(item)
    elif isinstance(node, str):
        yield node
