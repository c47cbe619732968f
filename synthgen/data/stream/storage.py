"""Where the files of a stream lie: on a disk, or behind an fsspec URL; ranges of them are read."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from synthgen.data.source import existing
from synthgen.errors import SynthgenError

OPEN_AT_ONCE = 64  # files
READ_AHEAD = 2**22  # bytes, in the one pass from the beginning to the end of a remote file


class LostImageError(SynthgenError):
    """An image of a stream can't be read, though it was there when the files were looked at. What
    was trained until then is sound."""


@dataclass(frozen=True)
class StoredFile:
    """A file as it was found.

    Attributes:
        path: where its storage finds it.
        stamp: the time of its last change, or what an object store says instead.
    """

    path: str
    size: int
    stamp: str


@dataclass(frozen=True)
class Range:
    """Bytes of a file."""

    file: StoredFile
    offset: int
    size: int


class Storage(ABC):
    """Files that are read, never written."""

    @abstractmethod
    def find(self, path: str, ending: str) -> list[StoredFile]:
        """The file ``path``, or all files below that folder whose names end so, sorted by name.

        Raises SynthgenError if there is no such place.
        """

    @abstractmethod
    def base(self, path: str) -> str:
        """``path`` as the files found below it begin."""

    @abstractmethod
    def open(self, file: StoredFile) -> BinaryIO:
        """To be read from the beginning to the end."""

    @abstractmethod
    def read(self, ranges: Sequence[Range]) -> list[bytes]:
        """The bytes of each. Raises LostImageError for a file that has changed or is gone."""


class LocalFiles(Storage):
    """Files of a disk or a network folder, few of them open at once."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, int] = OrderedDict()

    def find(self, path: str, ending: str) -> list[StoredFile]:
        there = existing(path, "data.path")
        files = [there] if there.is_file() else sorted(there.rglob(f"*{ending}"))
        return [self._stored(file) for file in files if file.is_file()]

    def base(self, path: str) -> str:
        return str(Path(path).expanduser())

    def _stored(self, file: Path) -> StoredFile:
        found = file.stat()
        return StoredFile(str(file), found.st_size, str(found.st_mtime_ns))

    def open(self, file: StoredFile) -> BinaryIO:
        return Path(file.path).open("rb")

    def read(self, ranges: Sequence[Range]) -> list[bytes]:
        return [self._one(one) for one in ranges]

    def _one(self, one: Range) -> bytes:
        try:
            content = os.pread(self._descriptor(one.file), one.size, one.offset)
        except OSError as error:
            raise _unread(one.file, error) from error
        if len(content) != one.size:
            raise _changed(one.file)
        return content

    def _descriptor(self, file: StoredFile) -> int:
        found = self._open.get(file.path)
        if found is not None:
            self._open.move_to_end(file.path)
            return found
        found = os.open(file.path, os.O_RDONLY)
        there = os.fstat(found)
        if (there.st_size, str(there.st_mtime_ns)) != (file.size, file.stamp):
            os.close(found)
            raise _changed(file)
        self._open[file.path] = found
        if len(self._open) > OPEN_AT_ONCE:
            os.close(self._open.popitem(last=False)[1])
        return found

    def __del__(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)


class RemoteFiles(Storage):
    """Files behind an fsspec URL: ``s3://``, ``gs://``, ``memory://``, ``filecache::s3://`` …

    The ranges of a batch are asked for at once, where the driver can.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            import fsspec
        except ImportError:
            raise SynthgenError(
                f"data.path={url} needs the package fsspec.\nInstall it: pip install fsspec"
            ) from None
        with self._answering():
            self.system: Any = fsspec.core.url_to_fs(url)[0]

    def find(self, path: str, ending: str) -> list[StoredFile]:
        with self._answering():
            root = self.system._strip_protocol(path)
            if not self.system.exists(root):
                raise SynthgenError(f"data.path={path} does not exist.\nCheck the URL.")
            if self.system.isfile(root):
                return [self._stored(self.system.info(root))]
            found = self.system.find(root, detail=True)
            return [self._stored(found[name]) for name in sorted(found) if name.endswith(ending)]

    def base(self, path: str) -> str:
        return str(self.system._strip_protocol(path))

    def _stored(self, info: dict[str, Any]) -> StoredFile:
        stamps = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
        stamp = next((str(info[name]) for name in stamps if info.get(name) is not None), "")
        return StoredFile(str(info["name"]), int(info["size"]), stamp)

    def open(self, file: StoredFile) -> BinaryIO:
        with self._answering():
            opened: BinaryIO = self.system.open(
                file.path, "rb", block_size=READ_AHEAD, cache_type="readahead"
            )
            return opened

    def read(self, ranges: Sequence[Range]) -> list[bytes]:
        with self._answering():
            found = self.system.cat_ranges(
                [one.file.path for one in ranges],
                [one.offset for one in ranges],
                [one.offset + one.size for one in ranges],
                on_error="return",
            )
        for one, content in zip(ranges, found, strict=True):
            if isinstance(content, Exception):
                raise _unread(one.file, content) from content
            if len(content) != one.size:
                raise _changed(one.file)
        return [bytes(content) for content in found]

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """A missing driver, a refused key or a broken line as one sentence."""
        try:
            yield
        except (OSError, ImportError, ValueError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise LostImageError(
                f"data.path={self.url} does not answer: {reason}.\n"
                "See that it is there and that you may read it, then run the same again."
            ) from error


def storage_of(path: str) -> Storage:
    """For a path, or for what fsspec makes of a URL."""
    return RemoteFiles(path) if "://" in path else LocalFiles()


def _changed(file: StoredFile) -> LostImageError:
    return LostImageError(
        f"{file.path} has changed since it was looked at: its images can't be found in it.\n"
        "Put it back as it was, or start a new run."
    )


def _unread(file: StoredFile, error: BaseException) -> LostImageError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return LostImageError(
        f"{file.path} can't be read ({reason}).\nSee that it is there, then go on with the run."
    )
