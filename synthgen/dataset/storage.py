"""Where a set lies: a folder on a disk, or a place behind an fsspec URL."""

from __future__ import annotations

import ctypes
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from synthgen.errors import SynthgenError
from synthgen.io import lines_of, readable_os_errors

WORK = ".synthgen"  # what only an unfinished set has: its job, its lock, its finished shards
MANY = 8  # from so many files on a shard is synced as a whole


class Store(ABC):
    """Paths are relative to the set, with ``/``. What is written is on the disk, or not there."""

    place: str  # for messages

    @abstractmethod
    def write(self, path: str, content: Iterable[bytes]) -> None:
        """One file, which appears complete or not at all."""

    @abstractmethod
    def write_shard(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Files that belong together; when this returns, all are on the disk."""

    @abstractmethod
    def flush(self) -> None:
        """When this returns, all that was written is on the disk, and under its final name."""

    @abstractmethod
    def read(self, path: str, largest: int | None = None) -> bytes:
        """The first ``largest`` bytes, or all. Raises FileNotFoundError."""

    @abstractmethod
    def lines(self, path: str) -> Iterator[bytes]:
        """The lines of a file, each with its end. Raises FileNotFoundError."""

    @abstractmethod
    def exists(self, path: str) -> bool: ...

    @abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """What lies directly in ``folder``, sorted; nothing where there is no folder."""

    @abstractmethod
    def files(self) -> Iterator[str]:
        """All files of the set, in any order; links and what is neither file nor folder too."""

    @abstractmethod
    def empty_folders(self) -> Iterator[str]:
        """Folders in which no file lies, however deep; none behind a URL."""

    @abstractmethod
    def oddity(self, path: str) -> str | None:
        """What keeps ``path`` from being looked at: it is outside of the set, or no plain file."""

    @abstractmethod
    def move(self, path: str, to: str) -> None: ...

    @abstractmethod
    def remove_folder(self, folder: str) -> None:
        """With all that is in it."""


class LocalStore(Store):
    """A folder on a disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = str(folder)
        self._known: set[str] = set()  # folders that exist

    def write(self, path: str, content: Iterable[bytes]) -> None:
        with readable_os_errors(self.folder):
            self._write_file(self._at(path), content)

    def write_shard(self, files: Sequence[tuple[str, bytes]]) -> None:
        """A few files are each synced and renamed. Many small ones are written in place and synced
        together: what makes them part of the set is the shard's record, which comes after."""
        with readable_os_errors(self.folder):
            if len(files) < MANY:
                for path, content in files:
                    self._write_file(self._at(path), [content])
                return
            for path, content in files:
                write_plain(self._at(path), content)
            sync(self.folder)

    def flush(self) -> None:
        with readable_os_errors(self.folder):
            sync(self.folder)

    def read(self, path: str, largest: int | None = None) -> bytes:
        with (self.folder / path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size  # reading sets aside what it is asked for
            return file.read() if largest is None or size < largest else file.read(largest)

    def lines(self, path: str) -> Iterator[bytes]:
        with (self.folder / path).open("rb") as file:
            yield from lines_of(file)

    def exists(self, path: str) -> bool:
        return (self.folder / path).exists()

    def names(self, folder: str = "") -> list[str]:
        place = self.folder / folder
        return sorted(os.listdir(place)) if place.is_dir() else []

    def files(self) -> Iterator[str]:
        for where, folders, names in os.walk(self.folder):
            links = [name for name in folders if os.path.islink(os.path.join(where, name))]
            for name in (*names, *links):
                yield self._below(os.path.join(where, name))

    def empty_folders(self) -> Iterator[str]:
        full: set[str] = set()
        for where, folders, names in os.walk(self.folder, topdown=False):
            below = (os.path.join(where, name) for name in folders)
            if names or any(os.path.islink(one) or one in full for one in below):
                full.add(where)
            elif where != str(self.folder):
                yield self._below(where)

    def oddity(self, path: str) -> str | None:
        if is_outside(path):
            return "lies outside of the set, so it was not looked at"
        place = self.folder
        for part in path.split("/"):
            place = place / part
            if place.is_symlink():
                return "is a link or lies behind one, so it was not followed"
        if place.exists() and not (place.is_file() or place.is_dir()):
            return "is a pipe, socket or device, so it was not opened"
        return None

    def _below(self, path: str) -> str:
        return os.path.relpath(path, self.folder).replace(os.sep, "/")

    def move(self, path: str, to: str) -> None:
        with readable_os_errors(self.folder):
            os.replace(self._at(path), self._at(to))
            sync(self.folder)

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(self.folder / folder, ignore_errors=True)

    def _at(self, path: str) -> str:
        folder = path.rpartition("/")[0]
        if folder not in self._known:
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
            self._known.add(folder)
        return f"{self.folder}/{path}"

    def _write_file(self, target: str, content: Iterable[bytes]) -> None:
        """Under a temporary name inside the job's own folder, synced once, then renamed."""
        temporary = self._at(f"{WORK}/partial/{os.path.basename(target)}")
        with open(temporary, "wb") as file:
            for piece in content:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)


class RemoteStore(Store):
    """Behind an fsspec URL. A put is all or nothing there, so there are no temporary names."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise SynthgenError(
                f"{url} needs the package fsspec.\nInstall it: pip install fsspec"
            ) from None
        self.place = url.rstrip("/")
        with self._readable():
            self.system, root = fsspec.core.url_to_fs(self.place)
        self.root = root.rstrip("/")

    def write(self, path: str, content: Iterable[bytes]) -> None:
        with self._readable(), self.system.open(self._at(path), "wb") as file:
            for piece in content:
                file.write(piece)

    def write_shard(self, files: Sequence[tuple[str, bytes]]) -> None:
        with self._readable():
            self.system.pipe({self._at(path): bytes(content) for path, content in files})

    def flush(self) -> None:
        """A put that has returned is there."""

    def read(self, path: str, largest: int | None = None) -> bytes:
        with self._readable():
            return bytes(self.system.cat_file(self._at(path), end=largest))

    def lines(self, path: str) -> Iterator[bytes]:
        with self._readable(), self.system.open(self._at(path), "rb") as file:
            yield from lines_of(file)

    def exists(self, path: str) -> bool:
        with self._readable():
            return bool(self.system.exists(self._at(path)))

    def names(self, folder: str = "") -> list[str]:
        try:
            with self._readable():
                self.system.invalidate_cache()
                found = self.system.ls(self._at(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    def empty_folders(self) -> Iterator[str]:
        return iter(())  # object stores know none

    def oddity(self, path: str) -> str | None:
        return "lies outside of the set, so it was not looked at" if is_outside(path) else None

    def files(self) -> Iterator[str]:
        with self._readable():
            for path in self.system.find(self.root):
                yield str(path)[len(self.root) :].lstrip("/")

    def move(self, path: str, to: str) -> None:
        with self._readable():
            self.system.mv(self._at(path), self._at(to))

    def remove_folder(self, folder: str) -> None:
        with self._readable():
            if self.system.exists(self._at(folder)):
                self.system.rm(self._at(folder), recursive=True)

    def _at(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """A missing driver, a refused key or a broken line as one sentence."""
        try:
            yield
        except (FileNotFoundError, SynthgenError):
            raise
        except (OSError, ImportError, ValueError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise SynthgenError(
                f"{self.place} does not answer: {reason}.\n"
                "See that it is there and that you may write to it, then run the same again."
            ) from error


def is_outside(path: str) -> bool:
    """Whether a set's own path leads out of it, or isn't written as synthgen writes paths."""
    parts = path.split("/")
    return not all(parts) or not {".", ".."}.isdisjoint(parts) or "\\" in path or ":" in parts[0]


def open_store(out: str | Path) -> Store:
    """A folder for a path or a ``file://`` URL, else what fsspec makes of the URL."""
    text = str(out)
    if text.endswith("://"):
        raise SynthgenError(f"out={text} names no place.\nGive the whole URL, or a folder.")
    if text.startswith("file://"):
        return LocalStore(Path(text.removeprefix("file://")).absolute())
    return RemoteStore(text) if "://" in text else LocalStore(Path(text).expanduser().absolute())


def write_plain(path: str, content: bytes) -> None:
    """Plain system calls: a third less time per small file than a buffered Python file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


def sync(folder: Path) -> None:
    """Everything written so far to the file system of ``folder`` is on the disk."""
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if library is None or not hasattr(library, "syncfs"):
        getattr(os, "sync", lambda: None)()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if library.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)
