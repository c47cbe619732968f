"""Draw a set, or one row of it, again from its manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from synthgen.dataset import DESCRIPTION, MANIFEST
from synthgen.dataset.formats import Format
from synthgen.dataset.schema import REAL, Dataset, ManifestRow, SetPart
from synthgen.dataset.storage import LocalStore
from synthgen.errors import SynthgenError
from synthgen.io import file_digest, new_folder, require_absent
from synthgen.progress import track
from synthgen.serialization import from_spec
from synthgen.synthesis.draw import Drawn, content_of, draw_rows
from synthgen.synthesis.manifest import read_dataset, read_manifest
from synthgen.synthesis.plan import Part, PlannedRows
from synthgen.synthesis.request import SynthesisRequest, checked_batch_size, checked_shard_size
from synthgen.synthesis.sources import Samplers, Source, cells_of, open_samplers, source_key

SamplerPaths = str | Path | Mapping[str, str | Path]


def regenerate(
    dataset_path: str | Path,
    sampler: SamplerPaths,
    out: str | Path,
    *,
    batch_size: int = 256,
    allow: Iterable[str] = (),
) -> Path:
    """Draw a set again, from its manifest, into the new folder ``out``: identical to the byte.

    Args:
        sampler: the one that the set was made with, or all of them by name.
        batch_size: images drawn at a time; no image depends on it.
        allow: further packages whose samplers you trust.

    Raises:
        SynthgenError: another sampler was given, or an image differs; nothing is left behind.
    """
    out, source = Path(out), Path(dataset_path)
    require_absent(out)
    size = checked_batch_size(batch_size)
    dataset = read_dataset(source)
    samplers = _samplers_of(dataset, sampler, allow)
    _require_no_real_images(dataset)
    rows = read_manifest(source)
    if file_digest(source / MANIFEST) != dataset.digest:
        raise SynthgenError(
            f"{source / MANIFEST} and {DESCRIPTION} beside it differ: one of them was changed.\n"
            "Get the set again."
        )
    with new_folder(out) as staging:
        with track(len(rows), "Drawing", unit="images") as advance:
            for part in dataset.parts:
                request = _request_of(part, dataset, samplers, size)
                _write_part(request, rows, LocalStore(staging), dataset, advance)
        LocalStore(staging).remove_folder(".synthgen")
        _copy_papers(source, staging, dataset)
    return out


def regenerate_row(
    dataset_path: str | Path, sampler: SamplerPaths, row: int, *, allow: Iterable[str] = ()
) -> Tensor:
    """Draw one row of a set again: uint8 ``(C, H, W)``, without drawing the others.

    Raises:
        SynthgenError: there is no such row, it is a real image, or the sampler is another one.
    """
    dataset = read_dataset(dataset_path)
    rows = read_manifest(dataset_path)
    if not 0 <= row < min(len(rows), dataset.count):
        raise SynthgenError(f"{dataset_path} has rows 0 to {len(rows) - 1}; there is no {row}.")
    wanted = rows[row]
    if wanted.seed is None or wanted.origin == REAL:
        raise SynthgenError(f"Row {row} of {dataset_path} is a real image; no sampler drew it.")
    samplers = _samplers_of(dataset, sampler, allow)
    _require_classes(dataset, samplers)
    part = next(one for one in dataset.parts if row < one.first + one.count)
    _set_latents(samplers, part)
    source = _by_key(_sources_of(part, samplers), wanted)
    drawn = source.draws.sample(torch.tensor([wanted.label]), torch.tensor([wanted.seed]))
    return drawn.images[0]


def _set_latents(samplers: Samplers, part: SetPart) -> None:
    samplers.set_latents(part.latents.temperature, part.latents.truncation)


def _require_classes(dataset: Dataset, samplers: Samplers) -> None:
    if dataset.image.to_json() != samplers.image.to_json():
        raise SynthgenError(
            "The manifest doesn't belong to this sampler's classes.\n"
            "Use the sampler that the set was made with."
        )


def _samplers_of(dataset: Dataset, paths: SamplerPaths, allow: Iterable[str]) -> Samplers:
    """The samplers at ``paths``, if they are those that the set was drawn with."""
    samplers = open_samplers(paths, dataset.execution.device, allow)
    given = {source.sha256 for source in samplers.sources()}
    wanted = {
        one.sha256 for part in dataset.parts for one in part.samplers if one.sha256 is not None
    }
    if given != wanted:
        shown = ", ".join(map(str, paths.values())) if isinstance(paths, Mapping) else paths
        raise SynthgenError(
            f"The set was not drawn with the sampler in {shown} (their SHA-256 differ).\n"
            "Give the sampler that it was made with."
        )
    return samplers


def _sources_of(part: SetPart, samplers: Samplers) -> tuple[Source, ...]:
    """The sources of a part's rows, each with the attributes that were ordered of it."""
    ordered = {
        source_key(one.sha256, one.attributes): one.attributes
        for one in part.samplers
        if one.sha256 is not None
    }
    plain = samplers.sources()
    if not any(ordered.values()):
        return tuple(plain)
    return tuple(
        cell
        for source in plain
        for (sha256, _), attributes in ordered.items()
        if sha256 == source.sha256
        for cell in cells_of(source, [attributes])
    )


def _by_key(sources: Iterable[Source], row: ManifestRow) -> Source:
    """Raises SynthgenError for a row of a sampler that the set doesn't list."""
    key = source_key(str(row.sampler), row.attributes or {})
    for source in sources:
        if source.key == key:
            return source
    raise SynthgenError(
        f"{MANIFEST} is damaged: {row.file} is of a sampler that its part of the set doesn't list."
        "\nGet the set again."
    )


def _require_no_real_images(dataset: Dataset) -> None:
    if dataset.real_count:
        raise SynthgenError(
            f"{dataset.real_count:,} images of the set are real, so no sampler can draw them.\n"
            "Run synthesize with its settings again, with the same data."
        )


def _request_of(
    part: SetPart, dataset: Dataset, samplers: Samplers, batch_size: int
) -> SynthesisRequest:
    _set_latents(samplers, part)
    format = from_spec(dataset.file_format.spec.to_json(), role=Format)
    if not isinstance(format, Format):
        target = dataset.file_format.spec.target
        raise SynthgenError(f"{DESCRIPTION} names {target}, which is no file format.")
    format.prepare(samplers.image)
    rows = _ManifestRows(samplers.image.classes, (), part.seed, part.first, part.count)
    return SynthesisRequest(
        samplers=samplers,
        sources=_sources_of(part, samplers),
        rows=rows,
        asked=part,
        id=part.id,
        quotas={},
        format=format,
        shard_size=checked_shard_size(dataset.shard_size, samplers.image),
        batch_size=batch_size,
        first_shard=part.first_shard,
    )


@dataclass(frozen=True)
class _ManifestRows(PlannedRows):
    """Rows whose labels and seeds stand in a manifest instead of following from quotas."""

    count: int = 0

    def __len__(self) -> int:
        return self.count


def _write_part(
    request: SynthesisRequest,
    rows: list[ManifestRow],
    store: LocalStore,
    dataset: Dataset,
    advance: Callable[[int], None],
) -> None:
    _require_classes(dataset, request.samplers)
    positions = {source.key: number for number, source in enumerate(request.sources)}
    every = len(request.image.classes)
    for shard in request.shards:
        numbers = request.numbers(shard)
        mine = rows[numbers.start : numbers.stop]
        if len(mine) < len(numbers) or not all(row.label < every for row in mine):
            raise SynthgenError(
                f"{MANIFEST} has other rows or labels than {DESCRIPTION} says.\nGet the set again."
            )
        labels = torch.tensor([row.label for row in mine])
        sources = torch.tensor([positions[_by_key(request.sources, row).key] for row in mine])
        part = Part(numbers, sources, labels, torch.zeros_like(labels))
        seeds = torch.tensor([_seed_of(row) for row in mine])
        images = draw_rows(request, part, torch.arange(len(part)), seeds)
        drawn = Drawn(part, images, seeds, torch.zeros_like(seeds))
        encoded = request.format.encode(content_of(request, shard, drawn))
        found = list(zip(encoded.paths, encoded.digests, strict=True))
        if found != [(row.file, row.sha256) for row in mine]:
            raise _differs(dataset)
        store.write_shard(encoded.files)
        advance(len(part))


def _seed_of(row: ManifestRow) -> int:
    if row.seed is None:
        raise SynthgenError(
            f"{MANIFEST} is damaged: {row.file} has no seed, though no image of the set is real.\n"
            "Get the set again."
        )
    return row.seed


def _differs(dataset: Dataset) -> SynthgenError:
    made = dataset.execution
    return SynthgenError(
        f"The images drawn here differ from those of the set (made with torch {made.torch} on "
        f"{made.cpu}).\nUse the same torch on the same type of machine."
    )


def _copy_papers(source: Path, staging: Path, dataset: Dataset) -> None:
    """Manifest, index, card and description: they describe both folders."""
    for name in [*dataset.files, DESCRIPTION]:
        if "/" in name or not (source / name).is_file():
            raise SynthgenError(f"{source / name} is missing.\nGet the set again.")
        (staging / name).write_bytes((source / name).read_bytes())
