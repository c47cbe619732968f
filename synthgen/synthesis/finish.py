"""What is written when all shards are there: manifest, index, card, and ``dataset.json`` last."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import synthgen
from synthgen.paths import canonical_digest, write_text
from synthgen.spec import to_spec
from synthgen.synthesis.card import (
    SHEET_CLASSES,
    SHEET_COLUMNS,
    ContactSheet,
    classes_shown,
    write_readme,
)
from synthgen.synthesis.draw import draw_rows
from synthgen.synthesis.job import DESCRIPTION, INDEX, Job
from synthgen.synthesis.manifest import MANIFEST, with_scores
from synthgen.synthesis.order import Order
from synthgen.synthesis.papers import Papers
from synthgen.synthesis.rows import ExampleRows, first_of_each_class
from synthgen.synthesis.settle import Settled, counted
from synthgen.synthesis.sheet_page import CONTACT_SHEET, PICTURE_OF_OLD_SETS, sheet_page
from synthgen.synthesis.store import LocalStore

FORMAT = "synthgen-dataset/1"


def finish(
    job: Job,
    order: Order,
    base: dict[str, Any] | None,
    settled: Settled | None,
    papers: Papers | None,
) -> None:
    """Write all but the images; ``base`` is the description of the set that is appended to."""
    tally = _Tally(order)
    manifest = tally.watch(_manifest(job, order, settled))
    files = {MANIFEST: _write(job, MANIFEST, base, base["count"] if base else 0, manifest)}
    rejected = _rejected(job, order, settled)
    if order.format.in_shards:
        before = base["index_lines"] if base else 0
        files[INDEX] = _write(job, INDEX, base, before, _index(job, order))
    dataset = describe(order, base)
    if order.curated:
        dataset["parts"][-1]["acceptance"] = tally.acceptance(rejected)
        dataset["acceptance"] = dataset["parts"][-1]["acceptance"]
    dataset["index_lines"] = _index_lines(job, order, base)
    earlier = base["papers"] if base else Papers().to_json()
    dataset["papers"] = papers.to_json() if papers else earlier
    files |= _write_card(job, order, base, {**dataset, "digest": files[MANIFEST]})
    # The manifest holds the hash of every image, so its own hash stands for the whole set.
    write_description(job, {**dataset, "digest": files[MANIFEST], "files": files})


def describe(order: Order, base: dict[str, Any] | None) -> dict[str, Any]:
    """``dataset.json`` but for what is known only once the images are drawn."""
    samplers = order.samplers
    part = {
        "id": order.id,
        "first": order.rows.first,
        "count": len(order.rows),
        "first_shard": order.first_shard,
        "digits": order.rows.digits,
        "quotas": order.quotas,
        "real_counts": order.real_counts,
        "data_digest": samplers.data_digest,
        **order.request,
        "facts": {one.name: one.facts() for one in order.all_filters},
    }
    before = base["parts"] if base else []
    earlier = base["quotas"] if base else {}
    return {
        "format": FORMAT,
        "classes": list(order.image.classes),
        "image": order.image.to_json(),
        "plan": base["plan"] if base else order.request["plan"],
        "seed": base["seed"] if base else order.request["seed"],
        "mode": order.request["mode"],
        "quotas": {name: n + earlier.get(name, 0) for name, n in order.quotas.items()},
        "count": len(order.rows) + (base["count"] if base else 0),
        "real_count": sum(order.real_counts.values()) + (base["real_count"] if base else 0),
        "sampler": base["sampler"] if base else samplers.record(),
        "exposes_real": samplers.exposes_real
        or bool(order.real_counts)
        or bool(base and base["exposes_real"]),
        "provenance": _provenance(order, base),
        "execution": order.execution(),
        "versions": {"synthgen": synthgen.__version__},
        "file_format": {"name": order.format.name, "spec": to_spec(order.format)},
        "shard_size": order.shard_size,
        "parts": [*before, part],
    }


def _provenance(order: Order, base: dict[str, Any] | None) -> dict[str, Any]:
    """Of the first sampler that was fitted on data: what is tested must be unseen by it."""
    if base and (base["provenance"].get("data") or not order.samplers.provenance.get("data")):
        return dict(base["provenance"])
    return order.samplers.provenance


def write_description(job: Job, dataset: dict[str, Any]) -> None:
    """``dataset.json``, with its own digest: now the set is complete."""
    dataset = {**dataset, "sha256": canonical_digest(dataset)}
    text = json.dumps(dataset, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    job.store.flush()
    job.store.write(DESCRIPTION, [text.encode()])


def _manifest(job: Job, order: Order, settled: Settled | None) -> Iterator[bytes]:
    row = 0
    for shard in order.shards:
        for line in job.lines(shard):
            if settled is not None:
                scores = {name: float(column[row]) for name, column in settled.scores.items()}
                line = with_scores(line, scores)
            row += 1
            yield line


def _index(job: Job, order: Order) -> Iterator[bytes]:
    for shard in order.shards:
        header = job.header(shard)
        for file in header["files"]:
            entry = {**file, "first": header["first"], "count": header["count"]}
            yield (json.dumps(entry, ensure_ascii=False) + "\n").encode()


def _index_lines(job: Job, order: Order, base: dict[str, Any] | None) -> int:
    if not order.format.in_shards:
        return 0
    per_shard = len(job.header(order.shards[0])["files"])
    return per_shard * len(order.shards) + (base["index_lines"] if base else 0)


def _write(
    job: Job, path: str, base: dict[str, Any] | None, keep: int, lines: Iterable[bytes]
) -> str:
    """Write the first ``keep`` lines that ``path`` has already, and ``lines``; their SHA-256."""
    digest = hashlib.sha256()

    def all_lines() -> Iterator[bytes]:
        if base is not None:
            earlier = islice(job.store.lines(path), keep)
            # An object store may empty the object while it is being written.
            yield from earlier if isinstance(job.store, LocalStore) else list(earlier)
        yield from lines

    def watched() -> Iterator[bytes]:
        for line in all_lines():
            digest.update(line)
            yield line

    job.store.write(path, watched())
    return digest.hexdigest()


class _Tally:
    """Counts the draws behind the rows that pass by."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.drawn: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()

    def watch(self, lines: Iterable[bytes]) -> Iterable[bytes]:
        return self._counted(lines) if self.order.curated else lines

    def _counted(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            entry = json.loads(line)
            if entry["seed"] is not None:
                self.kept[entry["class"]] += 1
                self.drawn[entry["class"]] += entry["attempt"] + 1
            yield line

    def acceptance(self, rejected: dict[str, Counter[int]]) -> dict[str, Any]:
        """Draws, kept images and rejections by filter, for each class that has any."""
        classes = self.order.image.classes
        return {
            name: {
                "drawn": self.drawn[name],
                "kept": self.kept[name],
                "share": round(self.kept[name] / self.drawn[name], 6),
                "rejected": {one: counts[label] for one, counts in rejected.items()},
            }
            for label, name in enumerate(classes)
            if self.drawn[name]
        }


def _rejected(job: Job, order: Order, settled: Settled | None) -> dict[str, Counter[int]]:
    names = [one.name for one in order.all_filters]
    total: dict[str, Counter[int]] = {name: Counter() for name in names}
    if not names:
        return total
    found = [counted(job.header(shard)["rejected"]) for shard in order.shards]
    for counts in [*found, settled.rejected if settled else {}]:
        for name, by_label in counts.items():
            total[name].update(by_label)
    return total


def _write_card(
    job: Job, order: Order, base: dict[str, Any] | None, dataset: dict[str, Any]
) -> dict[str, str]:
    """README and contact sheet; returns their SHA-256. The sheet of an appended set stays; an older
    set's picture becomes the page that the card names."""
    with tempfile.TemporaryDirectory(prefix="synthgen-") as scratch:
        folder = Path(scratch)
        if base is None:
            labels, images = example_images(job, order)
            sheet = ContactSheet(ExampleRows(labels), order.image)
            sheet.add(range(len(labels)), images)
            sheet.write(folder)
        elif CONTACT_SHEET not in base["files"] and job.store.exists(PICTURE_OF_OLD_SETS):
            picture = job.store.read(PICTURE_OF_OLD_SETS)
            write_text(folder / CONTACT_SHEET, sheet_page(picture, classes_shown(base)))
        write_readme(folder, dataset)
        digests = {} if base is None else dict(base["files"])
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            job.store.write(path.name, [content])
            digests[path.name] = hashlib.sha256(content).hexdigest()
    return {name: digest for name, digest in digests.items() if name not in (MANIFEST, INDEX)}


def example_images(job: Job, order: Order) -> tuple[Tensor, Tensor]:
    """Labels and images of the first rows of each class, drawn once more."""
    rows = first_of_each_class(order.rows.segments, SHEET_COLUMNS, SHEET_CLASSES)
    found: dict[int, int] = {}
    for shard in sorted({row // order.shard_size for row in rows}):
        lines = job.lines(order.shards[shard])
        for row, line in enumerate(lines, start=shard * order.shard_size):
            seed = json.loads(line)["seed"]
            found[row] = 0 if seed is None else seed
    part = order.rows.part(sorted(row + order.rows.first for row in rows))
    seeds = torch.tensor([found[number - order.rows.first] for number in part.numbers])
    return part.labels, draw_rows(order, part, torch.arange(len(part)), seeds)
