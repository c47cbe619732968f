"""Config files from elsewhere may choose among what is allowed; they can't widen it.

Hydra itself imports and calls whatever the ``hydra`` part of a config names (callbacks, launchers,
log handlers), before any of our checks: folders that a person adds must not hold such a part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from synthgen.errors import SynthgenError
from synthgen.paths import config_dir

FOLDER_FLAGS = ("--config-dir", "-cd", "--config-path", "-cp")
SEARCH_PATH = "hydra.searchpath="
PACKAGE = re.compile(r"#\s*@package\b.*\bhydra\b")


def require_own_packages(allow: Sequence[str], arguments: Sequence[str]) -> None:
    """Packages are allowed by the command line; raises SynthgenError if only a config did."""
    if allow and not any(a.lstrip("+").partition("=")[0] == "allow" for a in arguments):
        raise SynthgenError(
            f"A config file asks for allow=[{','.join(allow)}], and no file may admit code.\n"
            "If you trust these packages, name them on the command line."
        )


def require_plain_configs(arguments: Sequence[str]) -> None:
    """Raises SynthgenError if a config folder named in ``arguments`` has settings of Hydra's."""
    for folder in added_folders(arguments):
        for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
            if _concerns_hydra(path, folder) and not _is_ours(path, folder):
                raise SynthgenError(
                    f"{path} has settings of Hydra's own, which could run any code.\n"
                    "If you trust them, give them on the command line: hydra.KEY=VALUE"
                )


def added_folders(arguments: Sequence[str]) -> Iterator[Path]:
    """The config folders that the command line names beside ours."""
    following = [*arguments, ""][1:]
    for argument, after in zip(arguments, following, strict=True):
        flag, equals, value = argument.partition("=")
        shortened = len(flag) > len("--config-")  # argparse takes beginnings of flags too
        if flag in FOLDER_FLAGS or (shortened and any(f.startswith(flag) for f in FOLDER_FLAGS)):
            yield Path(value if equals else after)
        elif argument.lstrip("+").startswith(SEARCH_PATH):
            for place in re.split(r"[\[\],\s'\"]+", value):
                if place and not place.startswith("pkg://"):
                    yield Path(place.removeprefix("file://"))


def _concerns_hydra(path: Path, folder: Path) -> bool:
    """Whether the file sets something below ``hydra``: by its place, its package or its keys."""
    if path.relative_to(folder).parts[0] == "hydra":
        return True
    try:
        text = path.read_text(encoding="utf-8")
        content = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException):
        return False  # Hydra will say what is wrong with it
    if any(PACKAGE.search(line) for line in text.splitlines()):
        return True
    if not isinstance(content, dict):
        return False
    keys = {str(key).split(".")[0] for key in content}
    return "hydra" in keys or any("hydra" in word for word in _words(content.get("defaults")))


def _words(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from (str(key), *_words(value))
    elif isinstance(node, list):
        for item in node:
            yield from _words(item)
    elif node is not None:
        yield str(node)


def _is_ours(path: Path, folder: Path) -> bool:
    """Whether it is a copy of one of our own files."""
    original = config_dir() / path.relative_to(folder)
    return original.is_file() and original.read_bytes() == path.read_bytes()
