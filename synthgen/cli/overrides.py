"""Reading and writing Hydra's ``key=value`` arguments."""

from __future__ import annotations

from collections.abc import Sequence

PATH_KEYS = {"out", "resume", "sampler", "synthetic", "root", "path", "weights"}
SPOKEN_BY_HYDRA = ("'", '"', "[", "{", "${", "???")


def quote(text: str) -> str:
    """``text`` as one value of Hydra's grammar, whatever characters it holds."""
    escaped = text.replace("\\", "\\\\") if text.endswith("\\") else text
    return "'" + escaped.replace("'", "\\'") + "'"


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Quote the values of path settings, so that ``out=/tmp/a=b (c)`` needs no second quoting.

    Values that Hydra should see (null, quoted, a comma-separated sweep) stay as they are.
    """
    return [_quote_path(argument) for argument in arguments]


def _quote_path(argument: str) -> str:
    key, equals, value = argument.partition("=")
    is_path = key.lstrip("+").rsplit(".", 1)[-1] in PATH_KEYS
    plain = value and value != "null" and not value.startswith(SPOKEN_BY_HYDRA) and "," not in value
    interpolated = "${" in value
    return (
        f"{key}={quote(value)}" if equals and is_path and plain and not interpolated else argument
    )


def folders_as_override(arguments: Sequence[str]) -> list[str]:
    """``compare``'s positional folders become ``folders=[…]``; the rest stays."""
    folders, rest, takes_value = [], [], False
    for argument in arguments:
        if takes_value or argument.startswith("-") or "=" in argument:
            rest.append(argument)
        else:
            folders.append(argument)
        takes_value = argument in VALUE_FLAGS
    return (
        [*rest, f"folders=[{','.join(quote(folder) for folder in folders)}]"] if folders else rest
    )


VALUE_FLAGS = {
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp",
    "--config-name", "-cn", "--config-dir", "-cd", "--info", "-i",
}  # fmt: skip
