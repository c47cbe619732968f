"""Images inside of other files, and tables that come in pieces."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthgen.data.readers import FileBytes, ImageFile
from synthgen.data.readers.base import corrupt
from synthgen.data.tabular.columns import CALLED, FILE_SPLIT
from synthgen.data.tabular.files import Table
from synthgen.errors import SynthgenError


class Member(FileBytes):
    """An image file inside of another file, read when its content is asked for: a set of any size
    takes the memory of what is being decoded."""

    def __init__(self, name: str, read: Callable[[], bytes]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_read", read)

    @property
    def content(self) -> bytes:
        read: Callable[[], bytes] = self._read  # type: ignore[attr-defined]
        try:
            return read()
        except (OSError, ValueError) as error:  # of Arrow too
            raise corrupt(self, error) from error


@dataclass(frozen=True)
class Piece:
    """A part of a set that comes in several files.

    Attributes:
        file: the name that may tell a split.
        images: of each row; None where a row has none.
        names: of each row, for messages.
    """

    file: str
    table: Table
    images: tuple[ImageFile | None, ...]
    names: tuple[str, ...]


def split_word(name: str) -> str:
    """The word of a split in a file's name, else in those of its folders, the inner ones first:
    "train" of data/train-00000-of-00002; else what comes before the numbers."""
    for part in reversed(name.split("/")):
        found = [word for word in _words(part) if word in CALLED]
        if found:
            return found[0]
    return next(iter(_words(name)), "")


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W\d_]+", name.casefold()) if word]


SHARD = re.compile(r"(.*?)-?(\d+)-of-(\d+)(-\w+)?")


def missing_shards(names: Sequence[str]) -> list[str]:
    """A sentence for each series, like train-00000-of-00003, that isn't complete."""
    found: dict[tuple[str, int], set[int]] = {}
    for match in filter(None, (SHARD.fullmatch(name) for name in names)):
        found.setdefault((match[1], int(match[3])), set()).add(int(match[2]))
    return [
        f"Of {total:,} files {series}-…-of-{total:05d} only {len(there):,} are there."
        for (series, total), there in found.items()
        if len(there) < total
    ]


def joined(place: Path, pieces: Sequence[Piece]) -> Piece:
    """One table of all pieces, with a column of the splits that the files' names tell.

    Raises:
        SynthgenError: a column declares other classes in another piece.
    """
    tables = [piece.table for piece in pieces]
    names = tuple(dict.fromkeys(name for table in tables for name in table.names))
    columns = tuple([cell for table in tables for cell in _cells(table, name)] for name in names)
    classes: dict[str, tuple[str, ...]] = {}
    for piece in pieces:
        for name, declared in piece.table.classes.items():
            if classes.setdefault(name, declared) != declared:
                raise SynthgenError(
                    f"The files in {place} declare other classes of {name}, like {piece.file}.\n"
                    "Keep files of one set together, and others elsewhere."
                )
    words = [split_word(piece.file) for piece in pieces]
    if CALLED.keys() & set(words):
        counts = [len(piece.images) for piece in pieces]
        names += (FILE_SPLIT,)
        columns += ([word for word, n in zip(words, counts, strict=True) for _ in range(n)],)
    table = Table(
        str(place),
        names,
        columns,
        classes,
        (
            *dict.fromkeys(note for table in tables for note in table.notes),
            *missing_shards([piece.file for piece in pieces]),
        ),
        foreign={name: held for table in tables for name, held in table.foreign.items()},
    )
    return Piece(
        "",
        table,
        tuple(image for piece in pieces for image in piece.images),
        tuple(name for piece in pieces for name in piece.names),
    )


def _cells(table: Table, name: str) -> Sequence[str]:
    return table.columns[table.names.index(name)] if name in table.names else [""] * len(table)
