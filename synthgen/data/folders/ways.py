"""Ways to read a folder of which two or more are possible: the settings that decide."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgen.errors import SynthgenError

SHOWN = 3  # names in a sentence


@dataclass(frozen=True)
class Way:
    """One reading of a folder, as settings of an ImageFolder; ``str()`` is how it is typed."""

    level: int | None = None
    splits: Mapping[str, Sequence[str]] | None = None
    root: Path | None = None

    @property
    def options(self) -> dict[str, Any]:
        """For :meth:`synthgen.data.Source.with_options`."""
        found: dict[str, Any] = {"level": self.level, "root": self.root and str(self.root)}
        found["splits"] = self.splits and {split: list(one) for split, one in self.splits.items()}
        return {name: value for name, value in found.items() if value is not None}

    def __str__(self) -> str:
        if self.splits is not None:
            parts = (f"{split}: {_several(one)}" for split, one in self.splits.items())
            return f"'data.splits={{{', '.join(parts)}}}'"
        return f"data.level={self.level}" if self.root is None else f"data.root={self.root}"


class UnclearLayoutError(SynthgenError):
    """Folders that can be read in several ways, none of which is taken unasked."""

    def __init__(self, message: str, ways: Sequence[Way] = ()) -> None:
        super().__init__(message)
        self.ways = tuple(ways)


def typed(path: str) -> str:
    """A folder as it is typed into a setting: quoted if it might be read as something else."""
    path = path.rstrip("/")
    plain = re.fullmatch(r"[A-Za-z_][\w./-]*( [\w./-]+)*|[1-9][0-9]*", path, re.ASCII)
    if plain and path.lower() not in ("null", "true", "false", "nan", "inf"):
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def listed(names: Sequence[str], most: int = SHOWN) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def _several(folders: Sequence[str]) -> str:
    names = [typed(one) for one in folders]
    return f"[{', '.join(names)}]" if len(names) > 1 else "".join(names)
