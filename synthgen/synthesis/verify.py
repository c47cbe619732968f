"""Is a set on the disk what its papers say? Every missing, changed and extra file is named."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from synthgen.dataset import DESCRIPTION, INDEX, MANIFEST
from synthgen.dataset.storage import Store, open_store
from synthgen.errors import SynthgenError
from synthgen.progress import track
from synthgen.synthesis.job import JOB

if TYPE_CHECKING:
    from synthgen.dataset.schema import Dataset, ManifestRow, PublicDataset, PublicRow

    Described = Dataset | PublicDataset

LARGEST = 2**26 + 1  # bytes of a description that are read: one more than there may be


def verify(path: str | Path) -> Iterator[str]:
    """A sentence per finding; nothing for a set that is as it was written.

    Raises:
        SynthgenError: there is no finished set to be compared with, or none that this synthgen can
            read.
    """
    store = open_store(path)
    content = _description(store)
    from synthgen.dataset.schema import Dataset, described, own_digest  # 0.1 s; now there is a set

    place = f"{store.place}/{DESCRIPTION}"
    dataset = described(content, place)
    if dataset.sha256 is None:
        yield f"{DESCRIPTION} has no SHA-256 of its own, so a change of it would not show."
    elif dataset.sha256 != own_digest(content, place):
        yield f"{DESCRIPTION} was changed (its own SHA-256 differs)."
    papers: dict[str, str | None] = {MANIFEST: dataset.digest}
    if isinstance(dataset, Dataset):
        papers = {**dataset.files, MANIFEST: dataset.digest}
        if dataset.files.get(MANIFEST) not in (None, dataset.digest):
            yield f"{DESCRIPTION} gives two SHA-256 of {MANIFEST}."
    known = {DESCRIPTION, *papers}
    for name, digest in papers.items():
        yield from _check(store, name, digest)
    yield from _check_images(store, dataset, known)
    if not isinstance(dataset, Dataset):
        return  # public papers may lie beside anything
    extra = sorted(name for name in store.files() if name not in known)
    extra += [f"{name}/" for name in sorted(store.empty_folders())]
    yield from (f"{name} is extra: the set does not list it." for name in extra)


def _description(store: Store) -> bytes:
    if oddity := store.oddity(DESCRIPTION):
        raise SynthgenError(f"{store.place}/{DESCRIPTION} {oddity}.\nGive the folder of a set.")
    try:
        return store.read(DESCRIPTION, LARGEST)
    except FileNotFoundError:
        if store.exists(JOB):
            raise SynthgenError(
                f"{store.place} is unfinished.\nRun the command that began it again."
            ) from None
        raise SynthgenError(
            f"{store.place} has no {DESCRIPTION}, so synthgen didn't write it or never finished."
            "\nGive the folder of a set."
        ) from None


def _check(store: Store, name: str, digest: str | None, about: str = "") -> Iterator[str]:
    try:
        if oddity := store.oddity(name):
            yield f"{name} {oddity}{about}."
            return
        found = hashlib.sha256(store.read(name)).hexdigest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):  # a null byte
        yield f"{name} is missing{about}."
        return
    except OSError as error:
        yield f"{name} can't be read ({error.strerror}){about}."
        return
    if digest is not None and found != digest:
        yield f"{name} was changed (its SHA-256 differs){about}."


def _check_images(store: Store, dataset: Described, known: set[str]) -> Iterator[str]:
    """The files of the images, whose names join ``known``, and the rows that describe them."""
    from synthgen.dataset.schema import Dataset

    total = dataset.count
    in_shards = isinstance(dataset, Dataset) and dataset.index_lines > 0
    with track(total, "Checking", unit="images") as advance:
        if in_shards and _is_there(store, INDEX):
            yield from _check_shards(store, known, advance)
        if not _is_there(store, MANIFEST):
            return
        tally = _Tally(dataset)
        try:
            for row in _rows(store, dataset):
                tally.add(row, unknown=in_shards and row.file not in known)
                if not in_shards:
                    known.add(row.file)
                    yield from _check(store, row.file, row.sha256)
                    advance(1)
        except SynthgenError as error:
            yield str(error).partition("\n")[0]
    yield from tally.findings()


def _is_there(store: Store, name: str) -> bool:
    return name in store.names() and not store.oddity(name)


def _rows(store: Store, dataset: Described) -> Iterator[ManifestRow | PublicRow]:
    from synthgen.dataset.schema import ADVICE, Dataset, ManifestRow, PublicRow

    kind = ManifestRow if isinstance(dataset, Dataset) else PublicRow
    yield from kind.read_lines(store.lines(MANIFEST), MANIFEST, ADVICE)


class _Tally:
    """Whether the rows of the manifest are those that ``dataset.json`` describes."""

    def __init__(self, dataset: Described) -> None:
        self.dataset = dataset
        self.label_of = {name: label for label, name in enumerate(dataset.classes)}
        self.rows = self.mislabelled = self.real = self.unknown = 0
        self.first = ""
        self.drawn: Counter[str] = Counter()

    def add(self, row: ManifestRow | PublicRow, unknown: bool) -> None:
        self.rows += 1
        self.unknown += unknown
        if self.label_of.get(row.class_) != row.label:
            self.mislabelled += 1
            self.first = self.first or f"{row.file}, label {row.label}, class {row.class_!r}"
        if row.origin == "real":
            self.real += 1
        else:
            self.drawn[row.class_] += 1

    def findings(self) -> Iterator[str]:
        dataset = self.dataset
        if self.mislabelled:
            yield (
                f"{MANIFEST} has {self.mislabelled:,} rows whose label is not that of their class "
                f"(first {self.first})."
            )
        if self.unknown:
            yield f"{MANIFEST} has {self.unknown:,} rows whose file {INDEX} does not list."
        if dataset.count != self.rows:
            yield f"{DESCRIPTION} counts {dataset.count:,} images, {self.rows:,} are listed."
        for name, quota in dataset.quotas.items():
            if quota != self.drawn[name]:
                yield (
                    f"{DESCRIPTION} counts {quota:,} synthetic images of {name!r}, "
                    f"{self.drawn[name]:,} are listed."
                )
        real = getattr(dataset, "real_count", 0)
        if real != self.real:
            yield f"{DESCRIPTION} counts {real:,} real images, {self.real:,} are listed."


def _check_shards(store: Store, known: set[str], advance: Callable[[int], None]) -> Iterator[str]:
    from synthgen.dataset.schema import ADVICE, IndexRow

    begun = None
    try:
        for entry in IndexRow.read_lines(store.lines(INDEX), INDEX, ADVICE):
            known.add(entry.file)
            about = f": rows {entry.first:,} to {entry.first + entry.count - 1:,}"
            yield from _check(store, entry.file, entry.sha256, about)
            if entry.first != begun:  # a shard may be several files
                advance(entry.count)
            begun = entry.first
    except SynthgenError as error:
        yield str(error).partition("\n")[0]
