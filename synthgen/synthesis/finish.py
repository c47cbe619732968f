"""What is written when all shards are there: manifest, index, contact sheet, card, and
``dataset.json`` last."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

import synthgen
from synthgen.dataset import DESCRIPTION, INDEX, MANIFEST, README
from synthgen.dataset.card import (
    CONTACT_SHEET,
    PICTURE_OF_OLD_SETS,
    SHEET_CLASSES,
    Papers,
    card_text,
    classes_shown,
    sheet_page,
)
from synthgen.dataset.formats import Format
from synthgen.dataset.origin import Provenance
from synthgen.dataset.schema import Acceptance, CardAnswers, Dataset, FileFormat, SetPart, signed
from synthgen.dataset.storage import LocalStore
from synthgen.images import as_pictures, encode_png, grid
from synthgen.io import write_text
from synthgen.schema import Image
from synthgen.serialization import to_spec
from synthgen.synthesis.draw import draw_rows
from synthgen.synthesis.job import Job
from synthgen.synthesis.manifest import with_scores
from synthgen.synthesis.plan import ExampleRows, first_of_each_class
from synthgen.synthesis.request import SynthesisRequest
from synthgen.synthesis.set_filters import Settled, counted
from synthgen.types import ImageSpec

# What a set says about itself: ``dataset.json``, a README and a contact sheet.

SHEET_COLUMNS = 10


class ContactSheet:
    """Collects the first images of each class while the set is being drawn."""

    def __init__(self, rows: ExampleRows, image: ImageSpec) -> None:
        self.rows = rows
        used = rows.labels.unique().tolist()[:SHEET_CLASSES]
        self.names = [image.classes[label] for label in used]
        self.lines = {label: line for line, label in enumerate(used)}
        self.seen = dict.fromkeys(used, 0)
        self.image = image
        shown = as_pictures(torch.zeros(1, *image.shape, dtype=torch.uint8), image.view).shape[1:]
        self.images = torch.full((len(used), SHEET_COLUMNS, *shown), 128, dtype=torch.uint8)

    def add(self, numbers: range, images: Tensor) -> None:
        """``(N, C, H, W)`` of the rows ``numbers``."""
        labels = self.rows.labels[numbers.start : numbers.stop]
        for label, seen in self.seen.items():
            found = images[labels == label][: SHEET_COLUMNS - seen]
            found = self.image.pictures(found)
            self.images[self.lines[label], seen : seen + len(found)] = found
            self.seen[label] = seen + len(found)
        self.seen = {label: seen for label, seen in self.seen.items() if seen < SHEET_COLUMNS}

    def write(self, folder: Path) -> None:
        sheet = grid(self.images.flatten(0, 1), columns=SHEET_COLUMNS)
        used, known = len(self.names), self.image.num_classes
        said = [f"{used} of {known:,} classes"] if used == SHEET_CLASSES < known else []
        said += [note] if (note := self.image.picture_note()) else []
        page = sheet_page(encode_png(sheet), self.names, "; ".join(said).capitalize())
        write_text(folder / CONTACT_SHEET, page)


def write_readme(folder: Path, dataset: Dataset) -> None:
    """The dataset card, README.md, in the form that dataset hubs read, with what the person said
    about the set."""
    write_text(folder / README, card_text(dataset, Papers.stated_in(dataset)))


def finish(
    job: Job,
    request: SynthesisRequest,
    base: Dataset | None,
    settled: Settled | None,
    papers: Papers | None,
) -> None:
    """Write all but the images; ``base`` is the description of the set that is appended to."""
    tally = _Tally(request)
    manifest = tally.watch(_manifest(job, request, settled))
    digest = _write(job, MANIFEST, base, base.count if base else 0, manifest)
    files: dict[str, str | None] = {MANIFEST: digest}
    rejected = _rejected(job, request, settled)
    if request.format.in_shards:
        before = base.index_lines if base else 0
        files[INDEX] = _write(job, INDEX, base, before, _index(job, request))
    part = _part(request)
    if request.curated:
        part = part.model_copy(update={"acceptance": tally.acceptance(rejected)})
    # The manifest holds the hash of every image, so its own hash stands for the whole set.
    dataset = describe(
        request,
        base,
        part,
        digest=digest,
        index_lines=_index_lines(job, request, base),
        papers=_answers(papers, base),
    )
    files |= _write_card(job, request, base, dataset)
    write_description(job, dataset.model_copy(update={"files": files}))


def _answers(papers: Papers | None, base: Dataset | None) -> CardAnswers:
    if papers is None and base is not None:
        return base.papers
    return CardAnswers(**(papers or Papers()).to_json())


def _part(request: SynthesisRequest) -> SetPart:
    """The rows of ``request``, as ``dataset.json`` describes them."""
    content = {
        "id": request.id,
        "first": request.rows.first,
        "count": len(request.rows),
        "first_shard": request.first_shard,
        "digits": request.rows.digits,
        "quotas": request.quotas,
        "real_counts": request.real_counts,
        "data_digest": request.samplers.data_digest,
        **request.asked.to_json(),
        "facts": {one.name: one.facts().to_json() for one in request.all_filters},
    }
    return SetPart.from_json(content, "What was asked for")


def describe(
    request: SynthesisRequest,
    base: Dataset | None,
    part: SetPart,
    *,
    digest: str,
    index_lines: int,
    papers: CardAnswers,
) -> Dataset:
    """``dataset.json`` but for the hashes of the other files."""
    samplers = request.samplers
    earlier = base.quotas if base else {}
    dataset = Dataset(
        format="synthgen-dataset/1",
        classes=request.image.classes,
        image=Image.from_json(request.image.to_json()),
        plan=base.plan if base else part.plan,
        seed=base.seed if base else part.seed,
        mode=part.mode,
        quotas={name: n + earlier.get(name, 0) for name, n in request.quotas.items()},
        count=len(request.rows) + (base.count if base else 0),
        real_count=sum(request.real_counts.values()) + (base.real_count if base else 0),
        sampler=base.sampler if base else samplers.record(),
        exposes_real=samplers.exposes_real
        or bool(request.real_counts)
        or bool(base and base.exposes_real),
        provenance=_provenance(request, base),
        execution=request.execution(),
        versions={"synthgen": synthgen.__version__},
        file_format=format_record(request.format),
        shard_size=request.shard_size,
        parts=(*(base.parts if base else ()), part),
        index_lines=index_lines,
        papers=papers,
        digest=digest,
        files={},
    )
    curated = {"acceptance": part.acceptance} if request.curated else {}
    return dataset.model_copy(update=curated)


def format_record(format: Format) -> FileFormat:
    """A file format as ``dataset.json`` names it."""
    return FileFormat.from_json({"name": format.name, "spec": to_spec(format)})


def _provenance(request: SynthesisRequest, base: Dataset | None) -> Provenance:
    """Of the first sampler that was fitted on data: what is tested must be unseen by it."""
    now = request.samplers.provenance
    return now if base is None or (base.provenance.data is None and now.data) else base.provenance


def write_description(job: Job, dataset: Dataset) -> None:
    """``dataset.json``, with its own digest: now the set is complete."""
    table = signed(dataset.to_json())
    text = json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    job.store.flush()
    job.store.write(DESCRIPTION, [text.encode()])


def _manifest(job: Job, request: SynthesisRequest, settled: Settled | None) -> Iterator[bytes]:
    row = 0
    for shard in request.shards:
        for line in job.lines(shard):
            if settled is not None:
                scores = {name: float(column[row]) for name, column in settled.scores.items()}
                line = with_scores(line, scores)
            row += 1
            yield line


def _index(job: Job, request: SynthesisRequest) -> Iterator[bytes]:
    for shard in request.shards:
        header = job.header(shard)
        for one in header.files:
            entry = one.to_json() | {"first": header.first, "count": header.count}
            yield (json.dumps(entry, ensure_ascii=False) + "\n").encode()


def _index_lines(job: Job, request: SynthesisRequest, base: Dataset | None) -> int:
    if not request.format.in_shards:
        return 0
    per_shard = len(job.header(request.shards[0]).files)
    return per_shard * len(request.shards) + (base.index_lines if base else 0)


def _write(job: Job, path: str, base: Dataset | None, keep: int, lines: Iterable[bytes]) -> str:
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

    def __init__(self, request: SynthesisRequest) -> None:
        self.request = request
        self.drawn: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()

    def watch(self, lines: Iterable[bytes]) -> Iterable[bytes]:
        return self._counted(lines) if self.request.curated else lines

    def _counted(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            entry = json.loads(line)
            if entry["seed"] is not None:
                self.kept[entry["class"]] += 1
                self.drawn[entry["class"]] += entry["attempt"] + 1
            yield line

    def acceptance(self, rejected: dict[str, Counter[int]]) -> dict[str, Acceptance]:
        """Draws, kept images and rejections by filter, for each class that has any."""
        return {
            name: Acceptance(
                drawn=self.drawn[name],
                kept=self.kept[name],
                share=round(self.kept[name] / self.drawn[name], 6),
                rejected={one: counts[label] for one, counts in rejected.items()},
            )
            for label, name in enumerate(self.request.image.classes)
            if self.drawn[name]
        }


def _rejected(
    job: Job, request: SynthesisRequest, settled: Settled | None
) -> dict[str, Counter[int]]:
    names = [one.name for one in request.all_filters]
    total: dict[str, Counter[int]] = {name: Counter() for name in names}
    if not names:
        return total
    found = [counted(job.header(shard).rejected) for shard in request.shards]
    for counts in [*found, settled.rejected if settled else {}]:
        for name, by_label in counts.items():
            total[name].update(by_label)
    return total


def _write_card(
    job: Job, request: SynthesisRequest, base: Dataset | None, dataset: Dataset
) -> dict[str, str | None]:
    """README and contact sheet; returns their SHA-256. The sheet of an appended set stays; an older
    set's picture becomes the page that the card names."""
    with tempfile.TemporaryDirectory(prefix="synthgen-") as scratch:
        folder = Path(scratch)
        if base is None:
            labels, images = example_images(job, request)
            sheet = ContactSheet(ExampleRows(labels), request.image)
            sheet.add(range(len(labels)), images)
            sheet.write(folder)
        elif CONTACT_SHEET not in base.files and job.store.exists(PICTURE_OF_OLD_SETS):
            picture = job.store.read(PICTURE_OF_OLD_SETS)
            write_text(folder / CONTACT_SHEET, sheet_page(picture, classes_shown(base)))
        write_readme(folder, dataset)
        digests: dict[str, str | None] = {} if base is None else dict(base.files)
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            job.store.write(path.name, [content])
            digests[path.name] = hashlib.sha256(content).hexdigest()
    return {name: digest for name, digest in digests.items() if name not in (MANIFEST, INDEX)}


def example_images(job: Job, request: SynthesisRequest) -> tuple[Tensor, Tensor]:
    """Labels and images of the first rows of each class, drawn once more."""
    rows = first_of_each_class(request.rows.segments, SHEET_COLUMNS, SHEET_CLASSES)
    found: dict[int, int] = {}
    for shard in sorted({row // request.shard_size for row in rows}):
        lines = job.lines(request.shards[shard])
        for row, line in enumerate(lines, start=shard * request.shard_size):
            seed = json.loads(line)["seed"]
            found[row] = 0 if seed is None else seed
    part = request.rows.part(sorted(row + request.rows.first for row in rows))
    seeds = torch.tensor([found[number - request.rows.first] for number in part.numbers])
    return part.labels, draw_rows(request, part, torch.arange(len(part)), seeds)
