"""The bytes of images, by where the index says that they lie."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from synthgen.data.readers import FileBytes
from synthgen.data.stream.index import NAMES, Index
from synthgen.data.stream.looked import content_hash
from synthgen.data.stream.storage import (
    LostImageError,
    Range,
    Storage,
    StoredFile,
    storage_of,
)

BLOCK = 512  # bytes of a tar file's header, which ends where a member's content begins
LONGEST = 100  # bytes of the name in it


class Contents:
    """Reads images of an index; whatever is open belongs to the process that opened it."""

    def __init__(self, index: Index) -> None:
        facts = index.facts
        self.root: str = facts["root"]
        self.files = [StoredFile(*one) for one in facts["files"]]
        self.names = None if self.files else np.memmap(index.folder / NAMES, np.uint8, "r")
        self._storage: tuple[int, Storage] | None = None

    def read(self, rows: np.ndarray, hashes: np.ndarray) -> list[FileBytes]:
        """The files at ``rows`` ``(n,)``, as the index has them, with their names. ``hashes``:
        uint64 ``(n,)``, the first halves of theirs. Raises LostImageError for one that is gone or
        has changed, also where its size and time are what they were."""
        found = self._read(rows)
        for file, known in zip(found, hashes.tolist(), strict=True):
            if int.from_bytes(content_hash(file.content)[:8], "little") != known:
                raise LostImageError(
                    f"{file.name} is not what it was when the files were looked at.\n"
                    "Put it back as it was, or start a new run."
                )
        return found

    def _read(self, rows: np.ndarray) -> list[FileBytes]:
        if self.names is not None:
            return [self._file(row) for row in rows.tolist()]
        ranges = [
            Range(self.files[part], offset - BLOCK, size + BLOCK)
            for offset, size, part in rows.tolist()
        ]
        found = self.storage.read(ranges)
        return [_member(one, content) for one, content in zip(ranges, found, strict=True)]

    def _file(self, row: tuple[int, int, int]) -> FileBytes:
        assert self.names is not None
        at, size, _ = row
        path = os.path.join(self.root, os.fsdecode(self.names[at : at + size].tobytes()))
        try:
            with open(path, "rb") as file:
                return FileBytes(path, file.read())
        except OSError as error:
            raise LostImageError(
                f"{path} can't be read ({error.strerror}).\nSee that it is there, then go on with "
                "the run."
            ) from error

    @property
    def storage(self) -> Storage:
        """One of this process: connections and descriptors don't outlive a fork."""
        if self._storage is None or self._storage[0] != os.getpid():
            self._storage = (os.getpid(), storage_of(self.root))
        return self._storage[1]

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("the images of a stream are handed to other processes by path")


def _member(place: Range, content: bytes) -> FileBytes:
    name = content[:LONGEST].partition(b"\0")[0].decode("utf-8", "replace")
    return FileBytes(f"{place.file.path}/{name}", content[BLOCK:])
