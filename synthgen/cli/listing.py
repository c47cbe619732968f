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
from synthgen.io import config_dir

if TYPE_CHECKING:
    from synthgen.types import ImageSpec

KEPT = Path(__file__).with_name("models.json")
Option = dict[str, Any]  # group, name, what, papers, needs, …, parameters, multiply_adds, parts


def kept(folders: Sequence[Path]) -> list[Option] | None:
    """Our own options as ``models.json`` has them; None if ours isn't the first of the folders, of
    whose files those of one name in the others count for nothing, or if it was changed."""
    ours = config_dir().resolve()
    if not folders or folders[0].resolve() != ours:
        return None
    try:
        found = json.loads(KEPT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if found["configs"] != digest(ours):
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
    known: Sequence[Option] = (),
) -> list[Option]:
    """The options of ``group`` (None: all), but for those ``known`` read and counted now for
    ``image``; with ``own_sizes`` a network that names its pixels is counted for those. Must be
    called inside a Hydra application, whose config folders are searched. Raises SynthgenError for a
    group that isn't there."""
    from synthgen.cli.catalogue import MODEL, Costs, costs, entries, made_of, sources

    before = {(one["group"], one["name"]): one for one in known}
    made = made_of(sources(folders))
    groups = inside([name for name, _ in made], group)
    elsewhere = {key for key in made if key[0] not in groups}
    new = entries(folders, allow, without={*before, *elsewhere})
    if not own_sizes:
        new = [replace(one, pixels=None) for one in new]
    models = {name: parts for (of, name), parts in made.items() if of == MODEL}
    found = costs(new, models, image, allow)
    for one in new:
        key = (one.group, one.name)
        before[key] = asdict(one) | asdict(found.get(key, Costs()))
    return [before[key] for key in made if key in before and key[0] in groups]


def inside(groups: Sequence[str], wanted: str | None) -> set[str]:
    """``wanted`` and the groups inside it; None: all."""
    if wanted is None:
        return set(groups)
    name = wanted.rstrip("/")
    found = {one for one in groups if one == name or one.startswith(f"{name}/")}
    if not found:
        from synthgen.cli.coerce import suggestion

        known = sorted(set(groups))
        raise SynthgenError(
            f"There is no group '{wanted}'.{suggestion(wanted, known)}\n"
            f"The groups are {', '.join(known)}."
        )
    return found
