"""Where configs lie, and writing that never leaves half a file behind."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from synthgen.errors import SynthgenError

LONGEST_LINE = 2**20  # bytes of a row in a file of rows; more are no row of ours

PACKAGE = Path(__file__).resolve().parent
LOCK = ".lock"  # in a folder that a process works in
PARTIAL = re.compile(r"\.(.+)\.partial-(?:[0-9a-f]{8}|lock)")
PATIENCE = 0.2  # seconds for a lock that is just being given back


def config_dir() -> Path:
    """The folder of YAML groups: in an installed wheel, else beside the package in a checkout."""
    for folder in (PACKAGE / "configs", PACKAGE.parent / "configs"):
        if (folder / "train.yaml").is_file():
            return folder
    raise SynthgenError(
        f"The configs folder is missing (looked in {PACKAGE} and {PACKAGE.parent}).\n"
        "Install synthgen again, from its checkout: pip install --force-reinstall ."
    )


@contextmanager
def readable_os_errors(target: Path, *, option: str = "out") -> Iterator[None]:
    """Turn a full disk or a read-only folder into one sentence about ``target``, which ``option``
    names."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full. Free some space",
            errno.EFBIG: "so large a file is not allowed there. Choose another out=",
            errno.EDQUOT: "your disk quota is used up. Free some space",
            errno.EROFS: "the file system is read-only. Choose another out=",
            errno.EACCES: "you have no permission to write there. Choose another out=",
            errno.EPERM: "you have no permission to write there. Choose another out=",
            errno.ENOTEMPTY: "something else was written there meanwhile. Choose another out=",
            errno.ENOENT: "the folder is gone. See what happened to it",
            errno.EIO: "the disk or network folder doesn't answer. See that it is there",
            errno.ESTALE: "the disk or network folder doesn't answer. See that it is there",
            errno.ENOTCONN: "the disk or network folder doesn't answer. See that it is there",
            errno.ENOLCK: "its file system knows no locks. Choose another out=",
            errno.ENOTSUP: "its file system knows no locks. Choose another out=",
            errno.ENAMETOOLONG: "the name is too long. Choose another out=",
            errno.ELOOP: "links lead in a circle. Choose another out=",
            errno.ENOTDIR: "a part of the path is a file, not a folder. Choose another out=",
            errno.EEXIST: "a part of the path is a file, not a folder. Choose another out=",
        }
        reason = reasons.get(error.errno or 0)
        if reason is None:
            raise
        reason = reason.replace("another out=", f"another {option}=")
        shown = str(target) if len(str(target)) < 200 else f"{str(target)[:199]}…"
        raise SynthgenError(f"Could not write {shown}: {reason} and run again.") from error


def require_absent(folder: Path, *, option: str = "out") -> None:
    """Refuse a folder (or file) that already holds something, if only what a killed process left
    of its lock."""
    with readable_os_errors(folder):
        there = folder.is_file() or (
            folder.is_dir() and any(one.name != LOCK for one in folder.iterdir())
        )
    if there:
        raise SynthgenError(
            f"{folder} already exists and was left as it is.\n"
            f"Choose another {option}=, or remove it yourself first."
        )


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield an empty staging folder beside ``final``; on success it is renamed to ``final`` in one
    step, on any error it is removed. ``final`` must not exist yet (an empty folder is fine).

    Staging folders that killed processes left beside it are removed first: they may hold real
    images. Raises SynthgenError if ``final`` is there or another process is about to write it.
    """
    final = Path(final).absolute()
    require_absent(final)
    with readable_os_errors(final), made_folder(final.parent), _held(_lock_beside(final), final):
        require_absent(final)  # another process may have finished it a moment ago
        _remove_leftovers(final.parent, final.name)
        staging = _partial(final)
        staging.mkdir()
        try:
            yield staging
            if final.is_dir():
                final.rmdir()  # empty: checked above; fails if something appeared meanwhile
            staging.rename(final)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold ``folder``, made if it isn't there, for this process; the system takes it back from a
    process that is killed. A new folder in which nothing was put is removed again.

    May be entered again by the thread that holds it. Raises SynthgenError if another process holds
    it.
    """
    folder = Path(folder).absolute()
    with ExitStack() as stack:
        with readable_os_errors(folder):
            stack.enter_context(made_folder(folder))
            stack.enter_context(_held(folder / LOCK, folder))
            _remove_leftovers(folder)  # first: the folders that it removes are no places below
            for place in (folder, *(one for one in folder.iterdir() if one.is_dir())):
                if place != folder:
                    _remove_leftovers(place)
                if not place.name.startswith("."):  # hidden ones have writers of their own
                    _remove_half_files(place)
        yield


def remove_contents(folder: Path) -> None:
    """Remove all that lies in a folder that :func:`sole_writer` holds."""
    for one in folder.iterdir():
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one, ignore_errors=True)
        elif one.name != LOCK:
            one.unlink(missing_ok=True)


@contextmanager
def _held(lock: Path, target: Path) -> Iterator[None]:
    """Hold the file ``lock`` on behalf of ``target``. The lock ends with its process, however that
    dies; process ids say nothing, for in a container every process may have the same."""
    from filelock import FileLock, Timeout  # a tenth of a second that most commands don't need

    held = FileLock(lock, timeout=PATIENCE, is_singleton=True)
    try:
        held.acquire()
    except Timeout:
        raise SynthgenError(
            f"Another process is writing {target} at this moment.\n"
            "Let it finish, or choose another out=."
        ) from None
    try:
        yield
    finally:
        if held.lock_counter == 1:
            with suppress(PermissionError):  # Windows removes no open file
                lock.unlink(missing_ok=True)
        held.release()


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make ``folder`` and its parents; those that weren't there and are empty go again."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for one in new:
            with suppress(OSError):  # it holds something
                one.rmdir()


def _lock_beside(final: Path) -> Path:
    return final.parent / f".{final.name}.partial-lock"


def _partial(final: Path) -> Path:
    """A hidden name beside ``final`` that no other process chooses."""
    return final.with_name(f".{final.name}.partial-{secrets.token_hex(4)}")


def _remove_leftovers(place: Path, held: str | None = None) -> None:
    """Remove the staging folders in ``place`` whose processes are gone; ``held`` is the name whose
    lock we have ourselves."""
    for name in {found[1] for one in place.iterdir() if (found := PARTIAL.fullmatch(one.name))}:
        final = place / name
        with ExitStack() as stack, suppress(SynthgenError, OSError):  # at work, or not ours
            if name != held:
                stack.enter_context(_held(_lock_beside(final), final))
            for folder in place.glob(f"{glob.escape(f'.{name}.partial-')}*"):
                if PARTIAL.fullmatch(folder.name) and not folder.is_symlink() and folder.is_dir():
                    shutil.rmtree(folder, ignore_errors=True)


def _remove_half_files(place: Path) -> None:
    """Remove the files that :func:`write_bytes` was writing when it was killed."""
    for one in place.iterdir():
        if PARTIAL.fullmatch(one.name) and not one.name.endswith("-lock") and one.is_file():
            one.unlink(missing_ok=True)


def write_partial(path: Path, content: bytes | memoryview) -> Path:
    """Write a file that is to be ``path`` under a temporary name beside it, and flush it to the
    disk; returns that name."""
    temporary = _partial(path)
    with readable_os_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return temporary


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write under a temporary name, flush to the disk, then rename."""
    path = Path(path)
    temporary = write_partial(path, content)
    with readable_os_errors(path):
        try:
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Indented JSON; NaN and infinity are refused rather than written as invalid JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def require_plain_file(path: Path) -> None:
    """Refuse a pipe, a socket or a device: opening one may wait for ever. A missing file is left to
    whoever opens it, and so is a folder."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise SynthgenError(
            f"{path} is a pipe, socket or device, and was not opened.\nGive a plain file."
        )


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file with their ends; a longer one than LONGEST_LINE comes in pieces."""
    return iter(partial(file.readline, LONGEST_LINE), b"")


def read_json(path: Path) -> Any:
    """Parse a JSON file, or say in one sentence that it is missing or damaged."""
    require_plain_file(path)
    try:
        return parse_json(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SynthgenError(f"{path} does not exist.") from None
    except ValueError as error:
        raise SynthgenError(f"{path} is damaged: it is not valid JSON ({error}).") from None


def parse_json(
    text: str | bytes,
    parse_constant: Callable[[str], Any] | None = None,
    parse_float: Callable[[str], Any] | None = None,
) -> Any:
    """The value of a JSON text from anywhere, numbers made as in ``json.loads``. Raises ValueError
    for one that is damaged, nested too deep to be read, or holds half a character (a lone
    surrogate), which nothing could write."""
    try:
        value = json.loads(text, parse_constant=parse_constant, parse_float=parse_float)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    escape: Any = b"\\ud" if isinstance(text, bytes) else "\\ud"
    if escape in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value


def canonical_digest(value: Any) -> str:
    """SHA-256 of a JSON value written with sorted keys and no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
