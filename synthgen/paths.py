"""Where configs lie, and writing that never leaves half a file behind."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synthgen.errors import SynthgenError

PACKAGE = Path(__file__).resolve().parent


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
def readable_os_errors(target: Path) -> Iterator[None]:
    """Turn a full disk or a read-only folder into one sentence about ``target``."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full. Free some space",
            errno.EDQUOT: "your disk quota is used up. Free some space",
            errno.EROFS: "the file system is read-only. Choose another out=",
            errno.EACCES: "you have no permission to write there. Choose another out=",
            errno.EPERM: "you have no permission to write there. Choose another out=",
            errno.ENOTEMPTY: "something else was written there meanwhile. Choose another out=",
            errno.ENOENT: "the folder is gone. See what happened to it",
            errno.EIO: "the disk or network folder doesn't answer. See that it is there",
            errno.ESTALE: "the disk or network folder doesn't answer. See that it is there",
            errno.ENOTCONN: "the disk or network folder doesn't answer. See that it is there",
            errno.ENOTDIR: "a part of the path is a file, not a folder. Choose another out=",
        }
        reason = reasons.get(error.errno or 0)
        if reason is None:
            raise
        raise SynthgenError(f"Could not write {target}: {reason} and run again.") from error


def require_absent(folder: Path, *, option: str = "out") -> None:
    """Refuse a folder (or file) that already holds something."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise SynthgenError(
            f"{folder} already exists and was left as it is.\n"
            f"Choose another {option}=, or remove it yourself first."
        )


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield an empty staging folder beside ``final``; on success it is renamed to ``final`` in one
    step, on any error it is removed. ``final`` must not exist yet (an empty folder is fine)."""
    final = Path(final).absolute()
    require_absent(final)
    _require_no_other_job(final)
    staging = final.parent / f".{final.name}.partial-{os.getpid()}"
    with readable_os_errors(final):
        staging.mkdir(parents=True)
        try:
            yield staging
            if final.is_dir():
                final.rmdir()  # empty: checked above; fails if something appeared meanwhile
            staging.rename(final)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


def _require_no_other_job(final: Path) -> None:
    """Refuse a folder that a living process of this machine is about to write: the second one
    would find that out when all its work is done."""
    prefix = f".{final.name}.partial-"
    for other in sorted(final.parent.glob(f"{glob.escape(prefix)}*")):
        number = other.name.removeprefix(prefix)
        if number.isdigit() and int(number) != os.getpid() and _is_running(int(number)):
            raise SynthgenError(
                f"Process {number} is writing {final}.\n"
                f"Choose another out=, or wait for it (if it is something else, remove {other})."
            )


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 would end it
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, and alive
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write under a temporary name, flush to the disk, then rename."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with readable_os_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Indented JSON; NaN and infinity are refused rather than written as invalid JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Parse a JSON file, or say in one sentence that it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SynthgenError(f"{path} does not exist.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SynthgenError(f"{path} is damaged: it is not valid JSON ({error}).") from None


def canonical_digest(value: Any) -> str:
    """SHA-256 of a JSON value written with sorted keys and no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
