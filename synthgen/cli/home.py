"""What to do where nothing can be written in the home folder, as in many containers and jobs."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

CACHE, MATPLOTLIB = "XDG_CACHE_HOME", "MPLCONFIGDIR"


def settle_without_home(environ: MutableMapping[str, str]) -> str | None:
    """Let matplotlib, W&B and others keep their caches in a temporary folder, which is removed at
    the end, where the person's own can't be written: else each of them complains in its own way.
    Returns the line that says so."""
    place = Path(environ.get(CACHE) or Path(environ.get("HOME") or Path.home()) / ".cache")
    if can_be_written(place):
        return None
    instead = tempfile.mkdtemp(prefix="synthgen-cache-")
    atexit.register(shutil.rmtree, instead, ignore_errors=True)
    environ[CACHE] = instead
    environ.setdefault(MATPLOTLIB, instead)
    return f"{place} can't be written, so what is cached there is kept for this time only."


def can_be_written(folder: Path) -> bool:
    """Whether it, or what would have to be made on the way to it, is a folder with permission."""
    for there in (folder, *folder.parents):
        if there.exists():
            return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return False
