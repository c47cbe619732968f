"""From what a table calls its images to files: prefixes, endings, back-slashes, other folders."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthgen.data.readers import extensions
from synthgen.errors import SynthgenError

DEPTH = 3  # folders below the table's that are searched for its files
LONGEST = 1024  # letters of a path; longer cells hold something else
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True)
class Located:
    """A path for each name, ``problems`` if hardly any is there, and what was done to find them."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[SynthgenError, ...] = ()


class _Folders:
    """What folders hold, each looked into once: 200,000 questions cost one listing."""

    def __init__(self) -> None:
        self._held: dict[str, frozenset[str]] = {}

    def held(self, folder: str) -> frozenset[str]:
        if folder not in self._held:
            try:
                self._held[folder] = frozenset(os.listdir(folder or "."))
            except OSError:
                self._held[folder] = frozenset()
        return self._held[folder]

    def has(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return name in self.held(folder)

    def lacking(self, folder: Path, texts: Sequence[str]) -> list[str]:
        """Those that are no files in ``folder``."""
        return [text for text in texts if not self.has(os.path.join(folder, text))]


def locate(
    place: str, column: str, names: Sequence[str], folder: Path, suffix: str | None
) -> Located:
    """The files that ``names``, the cells of ``column``, mean, relative to ``folder``.

    ``suffix`` is put at the end of each. Where files are missing, one cause that explains all of
    them is looked for: back-slashes, a common ending, a part of the path that isn't here, files
    that lie in subfolders, capitals and several endings.
    """
    for name in names:
        if ADDRESS.match(name):
            return Located(_joined(folder, names), problems=(_address(place, column, name),))
        if len(name) > LONGEST:
            return Located(_joined(folder, names), problems=(_no_name(place, column, name),))
    folders = _Folders()
    ending = f".{suffix.lstrip('.')}" if suffix else ""
    texts = [_with_ending(_at_home(name), ending) for name in names]
    notes: tuple[str, ...] = ()
    lost = folders.lacking(folder, texts)
    if any("\\" in text for text in lost):
        texts, before = [text.replace("\\", "/") for text in texts], len(lost)
        lost = folders.lacking(folder, texts)
        notes = ("Back-slashes in the paths were read as slashes.",) * (len(lost) < before)
    for attempt in (_common_ending, _fewer_parts, _subfolders, _other_spelling):
        found = attempt(folders, folder, lost) if lost else None
        if found is not None:
            way = [found.path(text) if text in found.lost else text for text in texts]
            return Located(_joined(folder, way), (*notes, f"{found.said}."))
    paths = _joined(folder, texts)
    if len(lost) == len(texts) > 1:
        return Located(paths, notes, (_none_there(place, column, texts, folder, folders),))
    return Located(paths, notes)


def _at_home(name: str) -> str:
    return os.path.expanduser(name) if name.startswith("~") else name


def _joined(folder: Path, texts: Sequence[str]) -> tuple[Path, ...]:
    return tuple(Path(os.path.join(folder, text)) for text in texts)


def _with_ending(name: str, ending: str) -> str:
    return name if not ending or name.lower().endswith(ending.lower()) else name + ending


@dataclass(frozen=True)
class _Way:
    """How all lost files can be found: ``path`` of each, relative to the folder, and a sentence."""

    lost: frozenset[str]
    path: Callable[[str], str]
    said: str


def _common_ending(folders: _Folders, folder: Path, lost: Sequence[str]) -> _Way | None:
    """The one ending that makes files of all names, as ISIC's image_id lacks .jpg."""
    fitting = _endings(folders, folder, lost)
    if len(fitting) != 1:
        return None
    (ending,) = fitting
    said = f"The paths lack their ending, and {ending} was added (data.suffix={ending})"
    return _Way(frozenset(lost), lambda text: text + ending, said)


def _endings(folders: _Folders, folder: Path, lost: Sequence[str]) -> list[str]:
    """The endings with which each of the names is a file."""
    place, stem = os.path.split(os.path.join(folder, lost[0]))
    candidates = {
        name[len(stem) :]
        for name in folders.held(place)
        if name.startswith(f"{stem}.") and "." not in name[len(stem) + 1 :]
    }
    return sorted(
        ending
        for ending in candidates
        if all(folders.has(os.path.join(folder, text + ending)) for text in lost)
    )


def _fewer_parts(folders: _Folders, folder: Path, lost: Sequence[str]) -> _Way | None:
    """Paths of another machine: what remains after their first folders lies here."""
    parts = [part for part in lost[0].split("/") if part]
    for count in range(1, len(parts)):
        start = lost[0][: lost[0].index(parts[count], len("/".join(parts[:count])))]
        if folders.has(os.path.join(folder, lost[0][len(start) :])):
            break
    else:
        return None
    here = [text for text in lost if text.startswith(start)]
    if not all(folders.has(os.path.join(folder, text[len(start) :])) for text in here):
        return None
    if len(here) < len(lost):
        return None
    said = f"The paths begin with {start}, which isn't here; the rest was found below {folder}"
    return _Way(frozenset(lost), lambda text: text[len(start) :], said)


def _subfolders(folders: _Folders, folder: Path, lost: Sequence[str]) -> _Way | None:
    """Bare names whose files lie somewhere below, each once, with or without one common ending."""
    if any("/" in text for text in lost):
        return None
    wanted, known = set(lost), extensions()
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for place, name in _below(folder):
        stem, ending = os.path.splitext(name)
        if name in wanted:
            found[""][name].append(place)
        elif stem in wanted and ending.lower() in known:
            found[ending][stem].append(place)
    complete = [ending for ending, places in found.items() if len(places) == len(wanted)]
    if len(complete) != 1 or any(len(places) > 1 for places in found[complete[0]].values()):
        return None
    (ending,) = complete
    places = {name: place for name, (place,) in found[ending].items()}
    shown = sorted({place or "." for place in places.values()})
    said = f"The files were found by name in {', '.join(shown[:3])}"
    said += ", …" if len(shown) > 3 else ""
    said += f", with the ending {ending}" if ending else ""
    return _Way(frozenset(wanted), lambda text: os.path.join(places[text], text + ending), said)


def _other_spelling(folders: _Folders, folder: Path, lost: Sequence[str]) -> _Way | None:
    """Names that differ from one file each in capitals, or lack an ending that isn't the same for
    all."""
    known = extensions()
    files: dict[str, dict[str, list[str]]] = {}
    found = {}
    for text in lost:
        place, name = os.path.split(text)
        if place not in files:
            files[place] = defaultdict(list)
            for one in folders.held(os.path.join(folder, place)):
                stem, ending = os.path.splitext(one.casefold())
                if ending in known:
                    files[place][one.casefold()].append(one)
                    files[place][stem].append(one)
        fitting = files[place].get(name.casefold(), [])
        if len(fitting) != 1:
            return None
        found[text] = os.path.join(place, fitting[0])
    said = "The names differ from the files in capitals, or lack an ending: each fits one"
    return _Way(frozenset(lost), found.__getitem__, said)


def _below(folder: Path) -> list[tuple[str, str]]:
    """(folder relative to ``folder``, name) of the files in the folders below it."""
    found: list[tuple[str, str]] = []
    for place, inner, names in os.walk(folder):
        relative = os.path.relpath(place, folder)
        depth = 0 if relative == "." else relative.count(os.sep) + 1
        inner[:] = sorted(one for one in inner if depth < DEPTH and not one.startswith("."))
        found += [("" if relative == "." else relative, name) for name in sorted(names)]
    return found


def _address(place: str, column: str, name: str) -> SynthgenError:
    return SynthgenError(
        f"{column} in {place} holds addresses ({name[:60]}); synthgen downloads nothing.\n"
        "Get the files and give their paths."
    )


def _no_name(place: str, column: str, cell: str) -> SynthgenError:
    return SynthgenError(
        f"{column} in {place} names no files: a cell has {len(cell):,} letters ({cell[:24]}…), "
        "perhaps a picture written as text.\n"
        "Save the pictures as files, or as arrays for data=npz: numpy.savez(FILE, images=…, "
        "labels=…)."
    )


def _none_there(
    place: str, column: str, texts: Sequence[str], folder: Path, folders: _Folders
) -> SynthgenError:
    several = _endings(folders, folder, texts)
    if several:
        return SynthgenError(
            f"The names in {column} of {place} fit files that end with {' and '.join(several)}.\n"
            f"Say which are meant: {' or '.join(f'data.suffix={one}' for one in several)}."
        )
    return SynthgenError(
        f"None of the {len(texts):,} files that {column} of {place} names is there, like "
        f"{os.path.join(folder, texts[0])}.\n"
        "data.folder= names the folder that the paths start from, data.suffix= an ending that they "
        "lack."
    )
