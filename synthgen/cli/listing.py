"""What ``synthgen models`` lists: every option with what it is and costs, as plain tables.

Counting builds every network, which takes 20 CPU seconds, so the listing of our own options at the
default size is kept in ``models.json`` beside this file; scripts/list_models.py writes it, and a
test holds it against the classes. Other options and sizes are counted each time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.errors import SynthgenError
from synthgen.paths import config_dir

if TYPE_CHECKING:
    from synthgen.types import ImageSpec

KEPT = Path(__file__).with_name("models.json")
Option = dict[str, Any]  # group, name, what, papers, needs, …, parameters, multiply_adds, parts


def kept(folders: Sequence[Path]) -> list[Option] | None:
    """The listing in ``models.json``; None if it isn't one of just these folders' files."""
    if [folder.resolve() for folder in folders] != [config_dir().resolve()]:
        return None
    try:
        found = json.loads(KEPT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if found["configs"] != digest(folders[0]):
        return None
    options: list[Option] = found["options"]
    return options


def digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all yaml files."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*.yaml")):
        state.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        state.update(path.read_bytes())
    return state.hexdigest()


def counted(
    folders: Sequence[Path],
    allow: Sequence[str],
    image: ImageSpec,
    *,
    own_sizes: bool,
    group: str | None = None,
) -> list[Option]:
    """The options of ``group`` (None: all), read and counted now for ``image``; with ``own_sizes``
    a network that names its pixels is counted for those. Must be called inside a Hydra application,
    whose config folders are searched. Raises SynthgenError for a group that isn't there."""
    from synthgen.cli.catalogue import entries
    from synthgen.cli.costs import Costs, costs

    everything = entries(folders, allow)
    if not own_sizes:
        everything = [replace(one, pixels=None) for one in everything]
    names = [one.group for one in everything]
    listed = [one for one in everything if one.group in inside(names, group)]
    models = [one.name for one in everything if one.group == "model"]
    found = costs(listed, models, image, allow)
    return [asdict(one) | asdict(found.get((one.group, one.name), Costs())) for one in listed]


def inside(groups: Sequence[str], wanted: str | None) -> set[str]:
    """``wanted`` and the groups inside it; None: all."""
    if wanted is None:
        return set(groups)
    name = wanted.rstrip("/")
    found = {one for one in groups if one == name or one.startswith(f"{name}/")}
    if not found:
        from synthgen.cli.typed import suggestion

        known = sorted(set(groups))
        raise SynthgenError(
            f"There is no group '{wanted}'.{suggestion(wanted, known)}\n"
            f"The groups are {', '.join(known)}."
        )
    return found
