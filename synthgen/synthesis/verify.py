"""Is a set on the disk what its papers say? Every missing, changed and extra file is named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from synthgen.errors import SynthgenError
from synthgen.paths import canonical_digest, parse_json
from synthgen.progress import track
from synthgen.synthesis.job import DESCRIPTION, INDEX, JOB
from synthgen.synthesis.manifest import MANIFEST, parse_lines
from synthgen.synthesis.store import Store, open_store

PAPERS = (MANIFEST, "README.md", "contact_sheet.png")  # of sets that don't list them


def verify(path: str | Path) -> Iterator[str]:
    """A sentence per finding; nothing for a set that is as it was written.

    Raises SynthgenError where there is no finished set to be compared with.
    """
    store = open_store(path)
    dataset = _description(store)
    if dataset.get("sha256") not in (None, _own_digest(dataset)):
        yield f"{DESCRIPTION} was changed (its own SHA-256 differs)."
    papers = dataset.get("files") or dict.fromkeys(PAPERS)
    if dataset.get("digest"):
        papers = {**papers, MANIFEST: dataset["digest"]}
    known = {DESCRIPTION, *papers}
    for name, digest in papers.items():
        yield from _check(store, name, digest)
    listing = INDEX if dataset.get("index_lines") else MANIFEST
    if listing in store.names() and not store.oddity(listing):
        yield from _check_images(store, dataset, known)
    extra = sorted(name for name in store.files() if name not in known)
    extra += [f"{name}/" for name in sorted(store.empty_folders())]
    yield from (f"{name} is extra: the set does not list it." for name in extra)


def _description(store: Store) -> dict[str, Any]:
    if oddity := store.oddity(DESCRIPTION):
        raise SynthgenError(f"{store.place}/{DESCRIPTION} {oddity}.\nGive the folder of a set.")
    try:
        dataset = parse_json(store.read(DESCRIPTION))
    except FileNotFoundError:
        if store.exists(JOB):
            raise SynthgenError(
                f"{store.place} is unfinished.\nRun the command that began it again."
            ) from None
        raise SynthgenError(
            f"{store.place} has no {DESCRIPTION}, so synthgen didn't write it or never finished."
            "\nGive the folder of a set."
        ) from None
    except ValueError as error:
        raise SynthgenError(f"{store.place}/{DESCRIPTION} is damaged: {error}.") from None
    if not isinstance(dataset, dict):
        raise SynthgenError(f"{store.place}/{DESCRIPTION} is damaged: it is no table.")
    for name, kind in {"files": dict, "count": int, "index_lines": int}.items():
        if not isinstance(dataset.get(name), kind | None):
            raise SynthgenError(f"{store.place}/{DESCRIPTION} is damaged: it has no such {name}.")
    return dataset


def _own_digest(dataset: dict[str, Any]) -> str:
    return canonical_digest({key: value for key, value in dataset.items() if key != "sha256"})


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


def _check_images(store: Store, dataset: dict[str, Any], known: set[str]) -> Iterator[str]:
    """The files of the images; their names join ``known``."""
    total, rows = dataset.get("count"), 0

    def count(more: int) -> None:
        nonlocal rows
        rows += more
        advance(more)

    with track(max(0, total or 0), "Checking", unit="images") as advance:
        try:
            if dataset.get("index_lines"):
                yield from _check_shards(store, known, count)
            else:
                for entry in parse_lines(store.lines(MANIFEST), MANIFEST):
                    known.add(str(entry["file"]))
                    yield from _check(store, str(entry["file"]), str(entry["sha256"]))
                    count(1)
        except SynthgenError as error:
            yield str(error).partition("\n")[0]
    if total not in (None, rows):
        yield f"{DESCRIPTION} counts {total:,} images, {rows:,} are listed."


def _check_shards(store: Store, known: set[str], advance: Callable[[int], None]) -> Iterator[str]:
    entries, begun = (parse_json(line) for line in store.lines(INDEX)), None
    try:
        for entry in entries:
            known.add(str(entry["file"]))
            rows = f"{entry['first']:,} to {entry['first'] + entry['count'] - 1:,}"
            about = f": rows {rows}"
            yield from _check(store, str(entry["file"]), str(entry["sha256"]), about)
            if entry["first"] != begun:  # a shard may be several files
                advance(entry["count"])
            begun = entry["first"]
    except (ValueError, KeyError, TypeError) as error:
        yield f"{INDEX} is damaged ({error})."
