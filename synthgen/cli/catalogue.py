"""Everything that config groups offer, read from their yaml files and the classes named there."""

from __future__ import annotations

import inspect
import re
import sys
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synthgen.cli.build import TARGET, find_target
from synthgen.cli.validate import MISSING
from synthgen.errors import SynthgenError

NAMES = r"[A-Z][\w’'-]+(?: et al\.|(?:,? (?:&|and) [A-Z][\w’'-]+)+)"
YEAR = r"(?:19|20)\d\d[a-z]?\b"
CITATION = re.compile(rf"\(([^()]*?[A-Z][^()]*?{YEAR}[^()]*)\)|({NAMES},? {YEAR})")
WORK = re.compile(rf"([A-Z][\w’'-]+)(?: et al\.|(?:,? (?:&|and) [A-Z][\w’'-]+)*),? ({YEAR})")
SENTENCE = re.compile(r"(?<!et al)(?<!e\.g)(?<!i\.e)[.](?:\s|$)")
OWN_SIZE = re.compile(r"\b(?:for|at) (\d+) pixels")
PACKAGE = re.compile(r"pip install ([A-Za-z][\w-]+)")
Key = tuple[str, str]  # group and name of an option

FEWEST = 2  # words that say what something is


@dataclass(frozen=True)
class Entry:
    """One option of a group.

    Attributes:
        what: its first sentence.
        papers: citations as its yaml gives them, and its class if that is its alone.
        needs: what has to be there before it can be used, in words.
        pixels: side of the images that it is made for, if its yaml names one ("for 64 pixels").
    """

    group: str
    name: str
    what: str
    papers: tuple[str, ...]
    needs: tuple[str, ...]
    targets: tuple[str, ...]
    pixels: int | None = None


def entries(
    folders: Sequence[Path], allow: Sequence[str], without: Container[Key] = ()
) -> list[Entry]:
    """Every option below ``folders`` (of one name, the first folder's) but for those of
    ``without``, sorted by group."""
    files = sources(folders)
    uses = Counter(target for file in files.values() for target in file.targets)
    return [
        entry(file, *key, allow, shared=len(file.targets) != 1 or uses[file.targets[0]] > 1)
        for key, file in files.items()
        if key not in without
    ]


def sources(folders: Sequence[Path]) -> dict[Key, Source]:
    """The file of every option, sorted by group; of one name, the first folder's."""
    found: dict[Key, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            group = path.relative_to(folder).parent.as_posix()
            if group != "." and path.is_file():  # not a pipe, which would never end
                found.setdefault((group, path.stem), path)
    return {key: Source.read(found[key]) for key in sorted(found)}


def made_of(files: Mapping[Key, Source]) -> dict[Key, frozenset[Key]]:
    """Every option with all that its defaults list may put into it, through the lists of others
    too; what one of them replaces is among it."""
    direct = {key: frozenset(chosen(file.node, key[0])) for key, file in files.items()}
    found: dict[Key, frozenset[Key]] = {}
    for key in files:
        reached, left = {key}, [key]
        while left:
            new = direct.get(left.pop(), frozenset()) - reached
            reached |= new
            left += new
        found[key] = frozenset(reached)
    return found


def chosen(node: Any, group: str) -> Iterator[Key]:
    """The options that the defaults list of a file of ``group`` names."""
    lines = node.get("defaults") if isinstance(node, dict) else None
    for line in lines if isinstance(lines, list) else ():
        for place, names in line.items() if isinstance(line, dict) else [("", line)]:
            where = str(place).rpartition(" ")[2]  # override, optional
            for name in names if isinstance(names, list) else [names]:
                parts = [part.partition("@")[0] for part in (where, str(name)) if part]
                path = "/".join(parts)
                full = path[1:] if path.startswith("/") else f"{group}/{path}"
                yield full.rpartition("/")[0], full.rpartition("/")[2]


@dataclass(frozen=True)
class Source:
    """A yaml file, read."""

    comment: str
    node: Any
    targets: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Source:
        text = path.read_text(encoding="utf-8")
        node = yaml.safe_load(text) or {}
        return cls(first_comment(text), node, tuple(targets_of(node)))


def entry(file: Source, group: str, name: str, allow: Sequence[str], *, shared: bool) -> Entry:
    """A class that other files name too (``shared``) is told apart by the yaml's comment; else the
    class says itself what it is."""
    classes, refused = classes_of(file.targets, f"{group}/{name}", allow)
    described = [inspect.cleandoc(one.__doc__ or "") for one in classes]
    modules = [sys.modules[one.__module__] for one in classes]
    texts = [file.comment, *described, *(one.__doc__ or "" for one in modules)]
    first = texts if shared or group == "model" else [*described, *texts]
    return Entry(
        group=group,
        name=name,
        what=next((what for what in map(first_sentence, first) if len(what.split()) >= FEWEST), ""),
        papers=(citations(texts[:1]) if shared else ()) or citations(texts),
        needs=(*needs(texts, [inspect.getsource(one) for one in modules], file.node), *refused),
        targets=file.targets,
        pixels=own_size(file.comment),
    )


def own_size(text: str) -> int | None:
    found = OWN_SIZE.search(text)
    return int(found.group(1)) if found else None


def first_comment(text: str) -> str:
    """The comment on top of a yaml file, or the one beside its first line; an experiment's
    purpose."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("# ").rstrip()
        if words.startswith(("Command ", "Time ")):
            break
        if not words.startswith("@package"):
            lines.append(words.removeprefix("Purpose").strip())
    if not lines and "#" in (first := text.partition("\n")[0]):
        lines.append(first.partition("#")[2].strip())
    return " ".join(lines)


def first_sentence(text: str) -> str:
    """Up to the first full stop, without citations; at most one paragraph."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    paragraph = re.sub(rf" ?\([^()]*{YEAR}[^()]*\)", "", paragraph)
    end = SENTENCE.search(paragraph)
    return (paragraph[: end.start()] if end else paragraph).strip().rstrip(".:;")


def citations(texts: Sequence[str]) -> tuple[str, ...]:
    """Each cited work once, as it is first named: "Brock et al. 2019, section 3"."""
    found: dict[str, str] = {}
    for text in texts:
        for in_brackets, in_the_text in CITATION.findall(" ".join(text.split())):
            for cited in works(str(in_brackets or in_the_text)):
                first = WORK.search(cited)
                assert first is not None
                found.setdefault(" ".join(first.groups()), cited)
    return tuple(found.values())


def works(cited: str) -> list[str]:
    """The works in one bracket, divided by semicolons, of which titles may hold some too."""
    found: list[str] = []
    for part in cited.split(";"):
        if WORK.search(part):
            found.append(part.strip())
        elif found:
            found[-1] += f";{part}"
    return found


def targets_of(node: Any) -> Iterator[str]:
    """The class that a file is about, or those of a table of several."""
    if not isinstance(node, dict):
        return
    if isinstance(node.get(TARGET), str):
        yield node[TARGET]
        return
    for item in node.values():
        if isinstance(item, dict) and isinstance(item.get(TARGET), str):
            yield item[TARGET]


def classes_of(
    targets: Sequence[str], key: str, allow: Sequence[str]
) -> tuple[list[type], list[str]]:
    """Our classes among ``targets``, and what is in the way of the others."""
    found, refused = [], []
    for target in targets:
        if target == MISSING:
            continue
        try:
            one = find_target(target, key, allow)
        except SynthgenError as error:
            refused.append(str(error).partition("\n")[0])
            continue
        if inspect.isclass(one) and not one.__module__.startswith(("torch.", "sklearn.")):
            found.append(one)
    return found, refused


def needs(texts: Sequence[str], sources: Sequence[str], node: Any) -> list[str]:
    """Packages to install (a module's own message names them), a GPU, weights, and values that
    only the person can give."""
    packages = PACKAGE.findall(" ".join(" ".join([*texts, *sources]).split()))
    found = list(dict.fromkeys(packages))
    if re.search(r"\b(?:[Ff]or a|[Nn]eeds a|on a) GPU\b", " ".join(texts)):
        found.append("GPU")
    if isinstance(node, dict) and "weights" in node:
        found.append("weights")
    missing = [key for key, value in node.items() if value == MISSING and key != TARGET]
    return found + [f"{key}=…" for key in missing]
