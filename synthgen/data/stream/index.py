"""Where every image of a stream lies: built in one pass over its parts, kept in arrays that are
opened as memory maps, by path, in every process."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from synthgen.data.readers import Header
from synthgen.data.source import label_names, require_safe_names
from synthgen.data.stream.agreement import Agreement
from synthgen.data.stream.looked import Kind, Looked, Part, header_of
from synthgen.data.tabular.members import missing_shards
from synthgen.errors import SynthgenError
from synthgen.io import new_folder, read_json, readable_os_errors, write_bytes, write_json
from synthgen.progress import track

log = logging.getLogger(__name__)

FORM = "synthgen-index/2"
FACTS, NAMES = "facts.json", "names.bin"
SEVERAL = 2**28  # bytes, from which on more than one process looks
HEADERS = 2_000  # by which a size is chosen


@dataclass(frozen=True)
class Index:
    """An index that is complete.

    Attributes:
        folder: it, with an array of each of ``Looked.ARRAYS`` for all parts together.
    """

    folder: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.folder / FACTS)
        return found

    def array(self, name: str) -> np.ndarray:
        """One of ``Looked.ARRAYS``, of all images; a memory map."""
        return mapped(self.folder / f"{name}.npy")

    def __len__(self) -> int:
        return len(self.array("labels"))

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.facts["classes"])

    @property
    def headers(self) -> list[Header]:
        """A sample, the same whatever the order of the parts."""
        return [header_of(one) for _, one in self.facts["headers"]]

    @property
    def kinds(self) -> list[Kind]:
        return [Kind(header_of(header), n, name) for header, n, name in self.facts["kinds"]]

    @property
    def files(self) -> dict[str, str]:
        """The digest of each part, by name."""
        return dict(self.facts["digests"])


def mapped(path: Path) -> np.ndarray:
    """An array of a file, of which only what is looked at takes memory, once for all processes.
    Nothing that is written to it gets into the file."""
    return np.load(path, mmap_mode="c", allow_pickle=False)


def built_index(
    parts: Callable[[], Sequence[Part]], cache: Path, key: str, about: dict[str, Any]
) -> Index:
    """The index ``key`` in ``cache``: as it is there, or of ``parts``, of which those are not
    looked at again that were looked at before, also for another index.

    ``about``: ``root`` and ``files`` of the parts, by which their contents are found again.

    Raises:
        SynthgenError: a file is damaged, no image or without a class.
    """
    folder = cache / f"index-{key}"
    with only_builder(folder):
        if not folder.is_dir():
            paths = list(_looked_at(parts(), cache / "parts"))
            _merge(paths, folder, about)
    return Index(folder)


@contextmanager
def only_builder(folder: Path) -> Iterator[None]:
    """Other processes that need ``folder`` wait until this one has made it."""
    with readable_os_errors(folder, option="data.cache"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    with lock:
        yield


def _looked_at(parts: Sequence[Part], folder: Path) -> Iterator[Path]:
    """Where what was found in each part is kept, in their order."""
    places = [folder / f"{part.key}.npz" for part in parts]
    new = [i for i, place in enumerate(places) if not place.is_file()]
    with (
        readable_os_errors(folder, option="data.cache"),
        track(len(new), "Looking at files", "parts") as advance,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        for i, content in _look([parts[i] for i in new]):
            write_bytes(places[new[i]], content)
            advance(1)
    yield from places


def _look(parts: Sequence[Part]) -> Iterator[tuple[int, bytes]]:
    """Each part's number, and what was found in it, as soon as it was."""
    local = all("://" not in part.root for part in parts)
    cores = min(os.cpu_count() or 1, len(parts))
    if cores < 2 or not local or sum(part.size for part in parts) < SEVERAL:
        for i, part in enumerate(parts):
            yield i, part.look().to_bytes()
        return
    # Not by fork: this process may have threads already.
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(_content, part): i for i, part in enumerate(parts)}
        try:
            for done in as_completed(waiting):
                yield waiting.pop(done), done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _content(part: Part) -> bytes:
    try:
        return part.look().to_bytes()
    except SynthgenError as error:  # one of several arguments would not get out of the process
        raise SynthgenError(str(error)) from None


def _merge(paths: Sequence[Path], folder: Path, about: dict[str, Any]) -> None:
    """One array of each kind, with the classes of all parts numbered alike."""
    agreement = Agreement(about["root"], about.get("missing_label"))
    facts = _facts_of(paths, agreement)
    classes = label_names(facts["classes"])
    require_safe_names(classes)
    number = {name: i for i, name in enumerate(classes)}
    with readable_os_errors(folder, option="data.cache"), new_folder(folder) as staging:
        arrays: dict[str, np.memmap] = {}
        at = names = 0
        with (staging / NAMES).open("wb") as blob:
            for i, path in enumerate(paths):
                part = Looked.read(path)
                end = at + len(part.labels)
                for name in Looked.ARRAYS:
                    found = getattr(part, name)
                    if name not in arrays:
                        shape = (facts["images"], *found.shape[1:])
                        arrays[name] = _new(staging / f"{name}.npy", found.dtype, shape)
                    arrays[name][at:end] = found
                arrays["rows"]["part"][at:end] = i
                arrays["rows"]["offset"][at:end] += np.uint64(names if part.names else 0)
                own = np.array([number[name] for name in part.classes], np.int32)
                arrays["labels"][at:end] = own[part.labels] if len(own) else 0
                names += blob.write(part.names)
                at = end
        facts["notes"] += _of_groups(arrays["groups"], agreement.group)
        for array in arrays.values():
            array.flush()
        write_json(staging / FACTS, about | facts | {"format": FORM, "classes": list(classes)})


def _of_groups(groups: np.ndarray, key: str) -> list[str]:
    """What is to be said of uint64 ``groups``, told by ``key``; a single one divides nothing and is
    taken out."""
    alone = int((groups == 0).sum())
    if not key:
        return []
    if not alone and bool((groups == groups[0]).all()):
        groups[:] = 0
        return [f"{key} is the same in all images, so it divides nothing."]
    if not alone:
        return []
    return [f"{alone:,} of {len(groups):,} images have no {key}: each stands by itself."]


def _new(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _facts_of(paths: Sequence[Path], agreement: Agreement) -> dict[str, Any]:
    """What is said of all parts together. Raises SynthgenError where they don't agree."""
    classes: set[str] = set()
    kinds: dict[Header, tuple[int, str]] = {}
    headers: list[tuple[str, Header]] = []
    digests: dict[str, str] = {}
    notes: dict[str, None] = {}
    images = 0
    for path in paths:
        part = _read(path)
        agreement.add(part.name, part.told)
        images += len(part.labels)
        classes |= {part.classes[i] for i in np.unique(part.labels).tolist()}
        digests[part.name] = part.digest
        notes |= dict.fromkeys(part.notes)
        for kind in part.kinds:
            count, example = kinds.get(kind.header, (0, kind.example))
            kinds[kind.header] = (count + kind.count, example)
        headers = sorted([*headers, *part.headers], key=lambda one: one[0])[:HEADERS]
    agreement.require()
    if not images:
        raise SynthgenError("The files of data.path hold no images.\nGive a folder with some.")
    return {
        "images": images,
        "classes": sorted(classes),
        "kinds": [[asdict(header), count, name] for header, (count, name) in kinds.items()],
        "headers": [[key, asdict(header)] for key, header in headers],
        "digests": digests,
        "notes": [*list(notes)[:20], *agreement.notes(), *missing_shards(list(digests))],
    }


def _read(path: Path) -> Looked:
    try:
        return Looked.read(path)
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        path.unlink(missing_ok=True)
        raise SynthgenError(
            f"{path} was damaged ({error}) and has been removed.\nRun the same again."
        ) from error
