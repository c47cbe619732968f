"""An unfinished set: one job per folder, the job file that says what the set is, and a record of
each finished shard."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from synthgen.dataset import DESCRIPTION
from synthgen.dataset.storage import WORK, LocalStore, Store
from synthgen.errors import SynthgenError
from synthgen.io import made_folder, readable_os_errors
from synthgen.launch import Launch, current_launch

if TYPE_CHECKING:
    from synthgen.dataset.schema import Dataset, JobFile, ShardHeader


log = logging.getLogger(__name__)


def tell_of_idle_tasks() -> None:
    """One line where SLURM has granted several tasks and this process was not begun by srun."""
    tasks = os.environ.get("SLURM_NTASKS", "1")
    if current_launch().world == 1 and tasks.isdecimal() and int(tasks) > 1:
        log.info(
            "SLURM granted %s tasks, but srun didn't start this process: it goes on alone. "
            "To use them all: srun synthgen synthesize …",
            tasks,
        )


# One job per folder: a lock that the system takes back from a process that was killed.
#
# All processes of a launch hold it together, which filelock's locks can't express; where one
# process works alone, ``synthgen.io`` uses filelock.

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


# An unfinished set: the job file that says what it is, and a record of each finished shard.
#
# Until ``dataset.json`` exists, a set is work in progress: ``.synthgen/`` in it holds ``job.json``,
# the lock, and ``shards/<number>.jsonl``, which appears once the shard's files are on the disk.

JOB, BASE, RECORDS = f"{WORK}/job.json", f"{WORK}/base.json", f"{WORK}/shards"


class FinishedMeanwhileError(SynthgenError):
    """The job's folder was there a moment ago: process 0 has finished the set."""


@dataclass(frozen=True)
class Job:
    """A set under way in ``store``; ``content`` is equal for equal commands."""

    store: Store
    content: JobFile
    launch: Launch

    def finished(self) -> set[int]:
        """Numbers of the shards that are on the disk."""
        names = self.store.names(RECORDS)
        return {int(name.removesuffix(".jsonl")) for name in names if name.endswith(".jsonl")}

    def record(self, shard: int, header: ShardHeader, lines: list[str]) -> None:
        """Make a shard whose files are on the disk part of the set."""
        text = json.dumps(header.to_json()) + "\n" + "".join(lines)
        self.store.write(record_path(shard), [text.encode()])

    def header(self, shard: int) -> ShardHeader:
        from synthgen.dataset.schema import JobFile, ShardHeader

        place = f"{self.store.place}/{record_path(shard)}"
        lines = self.store.lines(record_path(shard))
        return next(ShardHeader.read_lines(lines, place, JobFile.ADVICE))

    def lines(self, shard: int) -> Iterator[bytes]:
        """The shard's lines of the manifest."""
        lines = self.store.lines(record_path(shard))
        next(lines)
        yield from lines

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process of this job is at work in the meantime."""
        if not isinstance(self.store, LocalStore):
            yield
            return
        with all_shares(self.store.folder / WORK, self.launch):
            yield

    def is_alive(self, rank: int) -> bool:
        """Whether another process of this job is at work; behind a URL nobody can say."""
        if isinstance(self.store, LocalStore):
            return is_alive(self.store.folder / WORK, rank)
        return True


def record_path(shard: int) -> str:
    return f"{RECORDS}/{shard:06d}.jsonl"


@contextmanager
def opened_job(store: Store, content: JobFile, launch: Launch) -> Iterator[Job]:
    """Hold the set in ``store`` for the job ``content``: begin it, or go on with it.

    Raises SynthgenError if something else lies there or is being written there. A job that ends
    with an error before its first shard leaves nothing behind.
    """
    if content.base is None and launch.rank == 0:
        require_free(store)
    with _held(store, launch):
        job = Job(store, content, launch)
        try:
            _begin(store, content, launch)
            yield job
        except BaseException:
            _leave_nothing(job)
            raise


@contextmanager
def _held(store: Store, launch: Launch) -> Iterator[None]:
    """The lock. Object stores know none, but equal jobs write equal shards, and another job is
    refused by its job file."""
    if not isinstance(store, LocalStore):
        yield
        return
    with ExitStack() as stack:
        with readable_os_errors(store.folder):
            stack.enter_context(made_folder(store.folder))
            (store.folder / WORK).mkdir(exist_ok=True)
            stack.enter_context(folder_lock(store.folder / WORK, launch, store.place))
        yield


def require_free_or_finished(store: Store) -> None:
    """Refuse a place that holds something other than a set, finished or not: whether a finished
    one is that which is asked for shows when the order is placed."""
    if not (store.names() and store.exists(DESCRIPTION)):
        require_free(store)


def require_free(store: Store) -> None:
    """Refuse a place that holds something other than an unfinished set."""
    if isinstance(store, LocalStore) and store.folder.is_file():
        raise SynthgenError(
            f"{store.place} already exists and was left as it is.\nChoose another out=."
        )
    names = store.names()
    if not names or WORK in names:
        return
    ways = "or remove it yourself first"
    if DESCRIPTION in names:
        ways = "remove it yourself first, or go on with it: append=true"
    raise SynthgenError(
        f"{store.place} already exists and was left as it is.\nChoose another out=, {ways}."
    )


def _begin(store: Store, content: JobFile, launch: Launch) -> None:
    if not store.exists(JOB):
        if launch.rank > 0:  # only process 0 begins a job
            if store.exists(DESCRIPTION):
                store.remove_folder(WORK)  # which locking has just made again
            raise FinishedMeanwhileError(f"{store.place} is finished.")
        others = [name for name in store.names() if name != WORK]
        if others and content.base is None:
            raise SynthgenError(
                f"{store.place} holds {others[0]}, which is not this set's.\nChoose another out=."
            )
        store.write(JOB, [json.dumps(content.to_json(), indent=1, ensure_ascii=False).encode()])
    else:
        _require_same(store, _job_file(store), content)
    if store.exists(DESCRIPTION) and not store.exists(BASE):
        store.move(DESCRIPTION, BASE)  # from now on, and until the end, it is work in progress


def _require_same(store: Store, found: JobFile, content: JobFile) -> None:
    before, now = flatten(found.to_json()), flatten(content.to_json())
    if before.pop("execution.cpu", None) != now.pop("execution.cpu", None):
        log.warning(
            "%s was begun on another processor: its images may differ in single levels.",
            store.place,
        )
    # The request first: counts and quotas follow from it.
    for key in sorted(before.keys() | now.keys(), key=lambda key: ("request" not in key, key)):
        if before.get(key) != now.get(key):
            raise SynthgenError(
                f"{store.place} holds an unfinished set made with {key}={before.get(key)}, not "
                f"{now.get(key)}.\nRun its own command again to finish it, choose another out=, or "
                "remove it yourself."
            )


def flatten(value: dict[str, object] | list[object], key: str = "") -> dict[str, object]:
    """Nested JSON as one table with dotted keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    table: dict[str, object] = {}
    for name, item in items:
        full = f"{key}.{name}" if key else str(name)
        table.update(flatten(item, full) if isinstance(item, dict | list) else {full: item})
    return table


def _job_file(store: Store) -> JobFile:
    """Raises FileNotFoundError, or SynthgenError if it is damaged."""
    from synthgen.dataset.schema import JobFile  # verify, which reads this module, may need none

    return JobFile.parse(store.read(JOB), f"{store.place}/{JOB}")


def _leave_nothing(job: Job) -> None:
    store = job.store
    if store.exists(JOB) and _job_file(store).to_json() != job.content.to_json():
        return  # another's
    if job.launch.world > 1 or job.finished() or store.exists(BASE) or store.names() != [WORK]:
        return
    store.remove_folder(WORK)
    if isinstance(store, LocalStore):
        remove_if_empty(store.folder)


def remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        log.debug("%s is not empty", folder)


def tidied(store: Store) -> Dataset | None:
    """If a finished set still has its job's folder (the process was killed in its last moment),
    remove that folder and return the set's description."""
    if WORK not in store.names() or not is_over(store):
        return None
    from synthgen.dataset.schema import Dataset

    dataset = Dataset.parse(store.read(DESCRIPTION), f"{store.place}/{DESCRIPTION}")
    close(store)
    return dataset


def is_over(store: Store) -> bool:
    """Whether the set is finished, though its job's folder may not be removed yet."""
    if not store.exists(DESCRIPTION):
        return False
    try:
        base = _job_file(store).base
    except FileNotFoundError:
        return True
    # Before an append begins, the description is that of the set that it appends to.
    return base != hashlib.sha256(store.read(DESCRIPTION)).hexdigest()


def close(store: Store) -> None:
    """Remove the job's folder; its job file goes last, so that a kill in between is understood."""
    if isinstance(store, LocalStore):
        for name in store.names(WORK):
            if (store.folder / WORK / name).is_dir():
                store.remove_folder(f"{WORK}/{name}")
    store.remove_folder(WORK)
