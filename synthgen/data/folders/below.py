"""Many files by their names alone: a path takes ten times the memory of its last part, and is made
when somebody asks for it."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload


class Paths(Sequence[Path]):
    """The files of some folders, one folder after another.

    Args:
        files: folders with the names of their files.
    """

    def __init__(self, files: Iterable[tuple[Path, Sequence[str]]]) -> None:
        self._folders: list[Path] = []
        self._starts: list[int] = []
        self._names: list[str] = []
        for folder, names in files:
            self._folders.append(folder)
            self._starts.append(len(self._names))
            self._names += names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Path: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Path, ...]: ...

    def __getitem__(self, index: int | slice) -> Path | tuple[Path, ...]:
        if isinstance(index, slice):
            return tuple(self[one] for one in range(*index.indices(len(self))))
        name = self._names[index]
        return self._folder(index % len(self)) / name

    def __iter__(self) -> Iterator[Path]:
        for folder, name in self._parts():
            yield folder / name

    def texts(self) -> Iterator[str]:
        """The paths as text."""
        for folder, name in self._parts():
            yield _text(folder, name)

    def text(self, index: int) -> str:
        return _text(self._folder(index % len(self)), self._names[index])

    def _folder(self, index: int) -> Path:
        return self._folders[bisect_right(self._starts, index) - 1]

    def _parts(self) -> Iterator[tuple[Path, str]]:
        ends = [*self._starts[1:], len(self._names)]
        for folder, start, end in zip(self._folders, self._starts, ends, strict=True):
            for name in self._names[start:end]:
                yield folder, name


def _text(folder: Path, name: str) -> str:
    """str(folder / name), without making a path."""
    return name if folder == HERE else os.path.join(folder, name)


HERE = Path()


class Shown(Sequence[str]):
    """Paths as people should see them: without their first ``prefix`` characters."""

    def __init__(self, paths: Paths, prefix: int) -> None:
        self._paths, self._prefix = paths, prefix

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self[one] for one in range(*index.indices(len(self))))
        return self._paths.text(index)[self._prefix :]

    def __iter__(self) -> Iterator[str]:
        for text in self._paths.texts():
            yield text[self._prefix :]
