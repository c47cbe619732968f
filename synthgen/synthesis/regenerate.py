"""Draw a set, or one row of it, again from its manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.paths import file_digest, new_folder, read_json, require_absent
from synthgen.progress import track
from synthgen.spec import from_spec
from synthgen.synthesis.draw import Drawn, draw_rows
from synthgen.synthesis.formats import PNG, Format
from synthgen.synthesis.job import DESCRIPTION
from synthgen.synthesis.manifest import MANIFEST, read_manifest
from synthgen.synthesis.order import Order, checked_batch_size, checked_shard_size
from synthgen.synthesis.pipeline import content_of
from synthgen.synthesis.rows import Part, Rows
from synthgen.synthesis.sources import (
    REAL,
    Samplers,
    Source,
    cells_of,
    open_samplers,
    source_key,
)
from synthgen.synthesis.store import LocalStore

FORMAT = "synthgen-dataset/1"
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

    ``sampler``: the one that the set was made with, or all of them by name.
    Raises SynthgenError, leaving nothing behind, if another sampler is given or an image differs.
    """
    out, source = Path(out), Path(dataset_path)
    require_absent(out)
    size = checked_batch_size(batch_size)
    dataset = read_dataset(source)
    samplers = _samplers_of(dataset, sampler, allow)
    _require_no_real_images(dataset)
    entries = read_manifest(source)
    if file_digest(source / MANIFEST) != dataset["digest"]:
        raise SynthgenError(
            f"{source / MANIFEST} and {DESCRIPTION} beside it differ: one of them was changed.\n"
            "Get the set again."
        )
    with new_folder(out) as staging:
        with track(len(entries), "Drawing", unit="images") as advance:
            for part in _parts(dataset):
                order = _order_of(part, dataset, samplers, size)
                _write_part(order, entries, LocalStore(staging), dataset, advance)
        LocalStore(staging).remove_folder(".synthgen")
        _copy_papers(source, staging, dataset)
    return out


def regenerate_row(
    dataset_path: str | Path, sampler: SamplerPaths, row: int, *, allow: Iterable[str] = ()
) -> Tensor:
    """Draw one row of a set again: uint8 ``(C, H, W)``, without drawing the others."""
    dataset = read_dataset(dataset_path)
    entries = read_manifest(Path(dataset_path))
    if not 0 <= row < len(entries):
        raise SynthgenError(f"{dataset_path} has rows 0 to {len(entries) - 1}; there is no {row}.")
    entry = entries[row]
    if entry.get("origin") == REAL:
        raise SynthgenError(f"Row {row} of {dataset_path} is a real image; no sampler drew it.")
    samplers = _samplers_of(dataset, sampler, allow)
    part = next(one for one in _parts(dataset) if row < one["first"] + one["count"])
    samplers.set_latents(**part["latents"])
    source = next(one for one in _sources_of(part, samplers) if one.key == _key(entry))
    drawn = source.draws.sample(torch.tensor([entry["label"]]), torch.tensor([entry["seed"]]))
    return drawn.images[0]


def read_dataset(path: str | Path) -> dict[str, Any]:
    """The contents of ``dataset.json``, if it is of the form that we write."""
    dataset = read_json(Path(path) / DESCRIPTION)
    if not isinstance(dataset, dict) or dataset.get("format") != FORMAT:
        raise SynthgenError(f"{Path(path) / DESCRIPTION} is not a set of the form {FORMAT}.")
    return dataset


def _parts(dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """What was ordered at once, each time; sets from before there were parts are one of them."""
    whole = {"id": "", "first": 0, "first_shard": 0, "count": dataset.get("count", 0)}
    none = {"latents": {"temperature": None, "truncation": None}}
    return dataset.get("parts") or [{**whole, **none, "seed": dataset.get("seed", 0)}]


def _samplers_of(dataset: dict[str, Any], paths: SamplerPaths, allow: Iterable[str]) -> Samplers:
    """The samplers at ``paths``, if they are those that the set was drawn with."""
    samplers = open_samplers(paths, dataset["execution"]["device"], allow)
    given = {source.sha256 for source in samplers.sources()}
    wanted = {
        one["sha256"]
        for part in dataset.get("parts", [])
        for one in part["samplers"]
        if one["sha256"] is not None
    } or {dataset["sampler"]["sha256"]}
    if given != wanted:
        shown = ", ".join(map(str, paths.values())) if isinstance(paths, Mapping) else paths
        raise SynthgenError(
            f"The set was not drawn with the sampler in {shown} (their SHA-256 differ).\n"
            "Give the sampler that it was made with."
        )
    return samplers


def _sources_of(part: dict[str, Any], samplers: Samplers) -> tuple[Source, ...]:
    """The sources of a part's rows, each with the attributes that were ordered of it."""
    ordered = {
        source_key(str(one["sha256"]), one.get("attributes", {})): one.get("attributes", {})
        for one in part.get("samplers", [])
        if one["sha256"] is not None
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


def _key(entry: dict[str, Any]) -> tuple[str, str]:
    return source_key(str(entry["sampler"]), entry.get("attributes", {}))


def _require_no_real_images(dataset: dict[str, Any]) -> None:
    if dataset.get("real_count"):
        raise SynthgenError(
            f"{dataset['real_count']:,} images of the set are real, so no sampler can draw them.\n"
            "Run synthesize with its settings again, with the same data."
        )


def _order_of(
    part: dict[str, Any], dataset: dict[str, Any], samplers: Samplers, batch_size: int
) -> Order:
    samplers.set_latents(**part["latents"])
    spec: dict[str, Any] = (dataset.get("file_format") or {}).get("spec") or {}
    format = from_spec(spec, role=Format) if spec else PNG()
    if not isinstance(format, Format):
        raise SynthgenError(f"{DESCRIPTION} names {spec['_target_']}, which is no file format.")
    format.prepare(samplers.image)
    rows = _ManifestRows(samplers.image.classes, (), part["seed"], part["first"], part["count"])
    return Order(
        samplers=samplers,
        sources=_sources_of(part, samplers),
        rows=rows,
        request={},
        id=part["id"],
        quotas={},
        format=format,
        shard_size=checked_shard_size(dataset.get("shard_size"), samplers.image),
        batch_size=batch_size,
        first_shard=part["first_shard"],
    )


@dataclass(frozen=True)
class _ManifestRows(Rows):
    """Rows whose labels and seeds stand in a manifest instead of following from quotas."""

    count: int = 0

    def __len__(self) -> int:
        return self.count


def _write_part(
    order: Order,
    entries: list[dict[str, Any]],
    store: LocalStore,
    dataset: dict[str, Any],
    advance: Callable[[int], None],
) -> None:
    positions = {source.key: number for number, source in enumerate(order.sources)}
    every = len(order.image.classes)
    for shard in order.shards:
        numbers = order.numbers(shard)
        mine = entries[numbers.start : numbers.stop]
        if len(mine) < len(numbers) or not all(entry["label"] in range(every) for entry in mine):
            raise SynthgenError(
                "The manifest doesn't belong to this sampler's classes.\n"
                "Use the sampler that the set was made with."
            )
        labels = torch.tensor([entry["label"] for entry in mine])
        sources = torch.tensor([positions[_key(entry)] for entry in mine])
        part = Part(numbers, sources, labels, torch.zeros_like(labels))
        seeds = torch.tensor([entry["seed"] for entry in mine])
        images = draw_rows(order, part, torch.arange(len(part)), seeds)
        drawn = Drawn(part, images, seeds, torch.zeros_like(seeds))
        encoded = order.format.encode(content_of(order, shard, drawn))
        found = list(zip(encoded.paths, encoded.digests, strict=True))
        if found != [(entry["file"], entry["sha256"]) for entry in mine]:
            raise _differs(dataset)
        store.write_shard(encoded.files)
        advance(len(part))


def _differs(dataset: dict[str, Any]) -> SynthgenError:
    made = dataset["execution"]
    return SynthgenError(
        f"The images drawn here differ from those of the set (made with torch {made['torch']} on "
        f"{made['cpu']}).\nUse the same torch on the same type of machine."
    )


def _copy_papers(source: Path, staging: Path, dataset: dict[str, Any]) -> None:
    """Manifest, index, card and description: they describe both folders."""
    papers = dataset.get("files") or {
        name: None for name in (MANIFEST, "README.md", "contact_sheet.png")
    }
    for name in [*papers, DESCRIPTION]:
        if "/" in name or not (source / name).is_file():
            raise SynthgenError(f"{source / name} is missing.\nGet the set again.")
        (staging / name).write_bytes((source / name).read_bytes())
