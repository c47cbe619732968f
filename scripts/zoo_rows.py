"""Which rows the zoo has: what zoo.yaml says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from synthgen.io import config_dir

ROWS = Path(__file__).with_name("zoo.yaml")


@dataclass(frozen=True)
class Row:
    """``settings`` are for `synthgen train`; None for the real images, which need none."""

    data: str
    name: str
    kind: str
    settings: tuple[str, ...] | None

    @property
    def available(self) -> bool:
        """Whether its options exist in this version."""
        return all(map(exists, self.settings or ()))


def exists(setting: str) -> bool:
    """Whether the option that ``group=name`` or ``group@place=name`` chooses has a file."""
    key, _, name = setting.partition("=")
    group = config_dir() / key.partition("@")[0]
    return not group.is_dir() or (group / f"{name}.yaml").is_file()


def rows_of(data: str) -> list[Row]:
    """In the file's order; digits have the rows of MNIST."""
    table = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
    return [
        Row(data, name, row["kind"], tuple(row["with"]) if "with" in row else None)
        for name, row in table["mnist" if data == "digits" else data].items()
    ]


def published_sizes() -> dict[str, tuple[str, str]]:
    """By name: the images, as 3x32x32, and the model with its settings, divided by spaces."""
    table = yaml.safe_load(ROWS.read_text(encoding="utf-8"))["published"]
    return {name: (entry["image"], " ".join(entry["with"])) for name, entry in table.items()}
