"""Folders for real images while a command needs them: for this user alone, and removed at the next
start if their process was killed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = "lock"
NEW = 60.0  # seconds in which a folder may not be locked yet


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """A new ``folder``, removed at the end; a killed process leaves it unlocked."""
    folder.mkdir(mode=0o700)
    try:
        with FileLock(folder / LOCK):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(folders: Iterable[Path]) -> None:
    """Those of ``folders`` that are this user's and that no process holds any more."""
    for folder in folders:
        with suppress(OSError, Timeout):
            if folder.stat().st_uid != os.getuid() or folder.is_symlink():
                continue
            if time.time() - folder.stat().st_mtime > NEW:
                with FileLock(folder / LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
