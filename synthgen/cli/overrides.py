"""From what a person types to what Hydra's parser understands."""

from __future__ import annotations

from collections.abc import Sequence

PATH_KEYS = {
    "out", "resume", "sampler", "synthetic", "root", "path", "weights", "answers", "folder",
}  # fmt: skip
ROOT_PATH_KEYS = {"start", "key"}  # at the root alone: lr.start is a number, data.key a tag
SPOKEN_BY_HYDRA = ("'", '"', "[", "{", "???")
FLAGS_WITH_A_VALUE = {
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp",
    "--config-name", "-cn", "--config-dir", "-cd", "--info", "-i",
}  # fmt: skip


def quote(text: str) -> str:
    """``text`` as one value of Hydra's grammar, whatever characters it holds."""
    escaped = text.replace("\\", "\\\\") if text.endswith("\\") else text
    return "'" + escaped.replace("'", "\\'") + "'"


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Argparse refuses flags between settings: bring them, with their values, to the front."""
    flags, rest = flags_and_settings(arguments)
    return [*flags, *rest]


def folders_as_override(arguments: Sequence[str]) -> list[str]:
    """``compare``'s positional folders become ``folders=[…]``; the rest stays, flags first."""
    flags, rest = flags_and_settings(arguments)
    folders = ",".join(quote(argument) for argument in rest if "=" not in argument)
    settings = [argument for argument in rest if "=" in argument]
    return [*flags, *settings, *([f"folders=[{folders}]"] if folders else [])]


def folder_as_override(arguments: Sequence[str]) -> list[str]:
    """``verify``'s positional folder becomes ``folder=…``, several ``folder=[…]``; the rest stays,
    flags first."""
    flags, rest = flags_and_settings(arguments)
    folders = [quote(one) for one in rest if "=" not in one]
    settings = [one for one in rest if "=" in one]
    named = f"[{','.join(folders)}]" if len(folders) > 1 else ",".join(folders)
    return [*flags, *settings, *([f"folder={named}"] if folders else [])]


def group_as_override(arguments: Sequence[str]) -> list[str]:
    """``models``' one positional group becomes ``group=…`` and ``--json`` ``show=json``."""
    plain = ["show=json" if one == "--json" else one for one in arguments]
    flags, rest = flags_and_settings(plain)
    return [*flags, *(one if "=" in one else f"group={quote(one)}" for one in rest)]


def names_a_path(key: str) -> bool:
    """Whether the value of this dotted key is a path."""
    return key in ROOT_PATH_KEYS or key.rsplit(".", 1)[-1] in PATH_KEYS


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Quote the values of path settings, so that ``out=/tmp/a=b (c)`` needs no second quoting.

    Values that Hydra should see (null, quoted, a comma-separated sweep) stay as they are.
    """
    return [_quote_path(argument) for argument in arguments]


def flags_and_settings(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and the rest."""
    flags: list[str] = []
    rest: list[str] = []
    takes_value = False
    for argument in arguments:
        is_flag = argument.startswith("-")
        (flags if is_flag or takes_value else rest).append(argument)
        takes_value = argument in FLAGS_WITH_A_VALUE
    return flags, rest


def _quote_path(argument: str) -> str:
    key, equals, value = argument.partition("=")
    is_path = names_a_path(key.lstrip("+"))
    for_hydra = value in ("", "null") or value.startswith(SPOKEN_BY_HYDRA)
    if not equals or not is_path or for_hydra or "," in value or "${" in value:
        return argument
    return f"{key}={quote(value)}"
