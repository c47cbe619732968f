"""A verb's help page, read from its yaml files alone: Hydra composes the whole config for that, and
looks for the options of a group once per group, which takes a second."""

from __future__ import annotations

from pathlib import Path

from synthgen.paths import config_dir

NOT_FOR_READERS = {"- door", "- _self_"}
PAGE = """\
Settings are key=value; groups are group=option.

== Groups ==
{groups}

== Settings ==
{settings}

--cfg job --resolve shows what a command would use, with the settings of the chosen options;
-m runs a sweep (seed=0,1,2), --config-dir FOLDER adds configs of your own."""


def page(verb: str) -> str:
    """The groups with their options, and the verb's own settings with their comments."""
    folder = config_dir()
    root = folder / f"{verb.replace(' ', '_')}.yaml"
    groups = [f"{group}: {', '.join(names)}" for group, names in options(folder).items()]
    return PAGE.format(groups="\n".join(groups), settings=settings(root))


def options(folder: Path) -> dict[str, list[str]]:
    """group -> the names of its options, both sorted."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.yaml")):
        group = path.parent.relative_to(folder).as_posix()
        if group != ".":
            found.setdefault(group, []).append(path.stem)
    return dict(sorted(found.items()))


def settings(root: Path) -> str:
    lines = root.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.strip() not in NOT_FOR_READERS)
