"""Write docs/settings.md: every option of every config group, with what it can be given.

    python scripts/settings_page.py

To be run whenever a config changes; tests/docs/test_settings.py says when.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
PAGE = ROOT / "docs" / "settings.md"
LEFT_OUT = ("experiment", "sweep")  # pages of a lab book, and files of W&B's: no settings
WHOLES = ("model", "judge", "trial")  # what has parts that are groups
HEAD = """\
# All settings

Every option of every group, with its settings, their defaults and what they mean. The settings
of the verbs themselves (`out`, `seed`, `max_time`, …) stand in the [guide](guide/index.md).

A group is given as `group=option`, its settings as `group.setting=value`: `model=vae
model.batch_size=64`. Parts of a model are given with the place that they take:
`gan/loss@model.loss=hinge model.loss.…`. [How commands work](guide/index.md#settings) says more.
A setting that holds a class (`optimizer: {_target_: …}`) is changed inside:
`model.optimizer.betas=[0.9,0.99]`.

This page is written by `scripts/settings_page.py` from `configs/`.
"""


def options() -> dict[str, list[Path]]:
    """Every group, sorted, with the files of its options."""
    found: dict[str, list[Path]] = {}
    for path in sorted(CONFIGS.rglob("*.yaml")):
        group = path.relative_to(CONFIGS).parent.as_posix()
        if group != "." and group not in LEFT_OUT:
            found.setdefault(group, []).append(path)
    return dict(sorted(found.items()))


def places() -> Iterator[tuple[str, str]]:
    """(group, how it is written on a command line) of groups that are parts of something."""
    for path in sorted(CONFIGS.rglob("*.yaml")):
        whole = path.relative_to(CONFIGS).parts[0]
        if whole not in WHOLES:
            continue
        for one in yaml.safe_load(path.read_text(encoding="utf-8")).get("defaults", []):
            name = next(iter(one)) if isinstance(one, dict) else one
            if name.startswith("/") and "@" in name:
                group, place = name.lstrip("/").split("@")
                yield group, f"{group}@{whole}.{place}"


def shown(path: Path) -> str:
    """The file without what only the machinery reads."""
    lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    kept = [one for one in lines if not one.startswith(("# @package", "_target_:"))]
    return "\n".join(kept)


def section(group: str, files: list[Path], written: list[str]) -> str:
    if written:
        how = "Given as " + ", ".join(f"`{one}=OPTION`" for one in written) + "."
    elif "/" in group:
        how = f"Given as `{group}@PLACE=OPTION`, with the place that it takes."
    else:
        how = f"Given as `{group}=OPTION`."
    parts = [f"## {group}", how, "Options: " + ", ".join(f"`{one.stem}`" for one in files) + "."]
    for path in files:
        settings = shown(path)
        block = f"```yaml\n{settings}\n```" if settings else "It has no settings."
        parts.append(f"**`{path.stem}`**\n\n{block}")
    return "\n\n".join(parts)


def page() -> str:
    groups = options()
    written: dict[str, list[str]] = {}
    for group, how in places():
        if how not in written.setdefault(group, []):
            written[group].append(how)
    rows = [
        f"| [`{group}`](#{group.replace('/', '')}) | {', '.join(one.stem for one in files)} |"
        for group, files in groups.items()
    ]
    table = "\n".join(["| group | options |", "|---|---|", *rows])
    sections = [section(group, files, written.get(group, [])) for group, files in groups.items()]
    return "\n\n".join([HEAD.rstrip(), table, *sections]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
