"""One job per folder: a lock that the system takes back from a process that was killed.

All processes of a launch hold it together, which filelock's locks can't express; where one process
works alone, ``synthgen.paths`` uses filelock.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from synthgen.errors import SynthgenError
from synthgen.synthesis.launch import Launch

if sys.platform == "win32":  # pragma: no cover - Windows has no shared lock here: one process only
    import msvcrt

    def _take(file: IO[str], *, shared: bool) -> bool:
        try:
            file.seek(2**30)  # a byte far behind the text, which stays readable
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _take(file: IO[str], *, shared: bool) -> bool:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class ShareTakenError(SynthgenError):
    """Another process of the launch stands in for this one: process 0, while it finishes."""


PATIENCE = 10.0  # seconds for processes of one launch that start at the same moment


@contextmanager
def folder_lock(folder: Path, launch: Launch, target: str) -> Iterator[None]:
    """Hold ``folder`` (of the set ``target``) for ``launch``: all its processes, no others.

    Raises SynthgenError if another launch holds it. Nothing is waited for but one's own launch.
    """
    files: list[IO[str]] = []
    try:
        deadline = time.monotonic() + PATIENCE
        while not (files := _shared(folder / "lock", launch)):
            if launch.world == 1 or time.monotonic() > deadline:
                raise _taken(target)
            time.sleep(0.02)
        own = _open(folder / f"lock-{launch.rank}")
        files.append(own)
        if not _take(own, shared=False):
            raise ShareTakenError(str(_taken(target)))
        yield
    finally:
        for file in files:
            file.close()  # gives the lock back


@contextmanager
def all_shares(folder: Path, launch: Launch) -> Iterator[None]:
    """Hold the places of all other processes of the launch, once each has left its own: none of
    them is at work from here on."""
    files: list[IO[str]] = []
    try:
        for rank in range(1, launch.world):
            files.append(_open(folder / f"lock-{rank}"))
            while not _take(files[-1], shared=False):
                time.sleep(0.02)
        yield
    finally:
        for file in files:
            file.close()


def is_alive(folder: Path, rank: int) -> bool:
    """Whether some process holds the folder as number ``rank``."""
    try:
        with (folder / f"lock-{rank}").open("r+", encoding="utf-8") as file:
            return not _take(file, shared=False)
    except FileNotFoundError:
        return False


def _shared(path: Path, launch: Launch) -> list[IO[str]]:
    """The lock file, held together with the other processes of the launch; empty if another one
    has it or it changed hands just now."""
    file = _open(path)
    if _take(file, shared=False):  # the first to come writes whose it is
        file.seek(0)
        file.truncate()
        file.write(launch.id)
        file.flush()
    if launch.world == 1:  # keeps it for itself
        held = _same_file(file, path) and _text(file) == launch.id
    else:
        held = _take(file, shared=True) and _same_file(file, path) and _text(file) == launch.id
    if held:
        return [file]
    file.close()
    return []


def _same_file(file: IO[str], path: Path) -> bool:
    """False if the file was removed, with the job's folder, while it was being locked."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _open(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)  # it may have been removed a moment ago
    return path.open("a+", encoding="utf-8")


def _taken(target: str) -> SynthgenError:
    return SynthgenError(
        f"Another job is writing {target} at this moment.\nLet it finish, or choose another out=."
    )
