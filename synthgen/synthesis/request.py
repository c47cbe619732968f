"""A set as it is ordered: every row decided and checked, nothing drawn, nothing written."""

from __future__ import annotations

import os
import platform
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from synthgen.dataset.formats import PNG, Format
from synthgen.dataset.schema import REAL, Execution, Request
from synthgen.errors import SynthgenError
from synthgen.io import canonical_digest
from synthgen.samplers.base import Sampler
from synthgen.serialization import to_spec
from synthgen.synthesis.filters.base import Filter, SetFilter
from synthgen.synthesis.plan import (
    Plan,
    PlannedRows,
    Segment,
    checked_quotas,
    segments_of,
    shared_quotas,
    whole_number,
)
from synthgen.synthesis.sources import (
    RealImages,
    Samplers,
    Source,
    attribute_grid,
    cells_of,
    open_samplers,
)
from synthgen.types import ImageSpec, LabelledImages

MAX_SHARD, SHARD_BYTES = 1000, 128 * 2**20
Mode = Literal["synthetic", "augment"]


@dataclass(frozen=True)
class SynthesisRequest:
    """What :func:`synthesize` draws.

    Attributes:
        id: stands in every image of these rows; empty: images are not marked.
        quotas: synthetic images by class.
        real_counts: real images in the set, by class.
        real: the training split, to fit filters on.
    """

    samplers: Samplers
    sources: tuple[Source, ...]
    rows: PlannedRows
    asked: Request
    id: str
    quotas: dict[str, int]
    format: Format
    shard_size: int
    batch_size: int
    filters: tuple[Filter, ...] = ()
    set_filters: tuple[SetFilter, ...] = ()
    attempts: int = 100
    first_shard: int = 0
    real_counts: dict[str, int] = field(default_factory=dict)
    real: LabelledImages | None = None

    @property
    def image(self) -> ImageSpec:
        return self.samplers.image

    @property
    def all_filters(self) -> list[Filter | SetFilter]:
        return [*self.filters, *self.set_filters]

    @property
    def curated(self) -> bool:
        return bool(self.all_filters)

    @property
    def shards(self) -> range:
        """The numbers of the shards."""
        count = -(-len(self.rows) // self.shard_size)
        return range(self.first_shard, self.first_shard + count)

    def numbers(self, shard: int) -> range:
        """The rows of a shard."""
        start = self.rows.first + (shard - self.first_shard) * self.shard_size
        return range(start, min(start + self.shard_size, self.rows.stop))

    def execution(self) -> Execution:
        return execution_record(next(iter(self.samplers.named.values())))

    def table(self) -> str:
        """The plan for people: images by class and by source, with totals."""
        return plan_table(self)


def plan_request(
    sampler: str | Path | Mapping[str, str | Path],
    plan: Plan,
    *,
    seed: int = 0,
    shares: Mapping[str, int] | None = None,
    attributes: Mapping[str, Sequence[str]] | None = None,
    mode: Mode = "synthetic",
    real: LabelledImages | None = None,
    filters: Sequence[Filter | SetFilter] = (),
    attempts: int = 100,
    temperature: float | None = None,
    truncation: float | None = None,
    format: Format | None = None,
    shard_size: int | None = None,
    batch_size: int = 256,
    device: str = "cpu",
    allow: Iterable[str] = (),
) -> SynthesisRequest:
    """Check everything that can be checked before an image is drawn.

    See :func:`synthgen.synthesis.synthesize` for the arguments. Filters are fitted later.

    Raises:
        SynthgenError: the plan can't be fulfilled, or an argument is wrong.
    """
    size = checked_batch_size(batch_size)
    samplers = open_samplers(sampler, device, allow)
    samplers.set_latents(temperature, truncation)
    image = samplers.image
    own_real = dict(zip(real.classes, real.counts, strict=True)) if real is not None else None
    quotas = checked_quotas(plan, image.classes, samplers.real_counts or own_real)
    sources, segments = _rows_of_samplers(samplers, quotas, shares, attributes or {})
    real_counts: dict[str, int] = {}
    if mode == "augment":
        real_counts = _checked_real(real, image)
        assert real is not None
        sources.append(_real_source(real, samplers))
        segments = [*segments_of(real_counts, len(sources) - 1), *segments]
    own, whole = _split_filters(filters, real)
    if whole_number(attempts, "attempts") == 0:
        raise SynthgenError("attempts must be at least 1.")
    chosen = format or PNG()
    chosen.prepare(image)
    table = {
        "plan": to_spec(plan),
        "seed": seed,
        "mode": mode,
        "samplers": [
            {
                "name": source.name,
                "sha256": source.sha256,
                "target": source.target,
                **({"attributes": dict(source.attributes)} if source.attributes else {}),
            }
            for source in sources
        ],
        "shares": None if shares is None else dict(shares),
        "latents": {"temperature": temperature, "truncation": truncation},
        "filters": [to_spec(one) for one in filters],
        "attempts": attempts if filters else None,
    }
    rows = PlannedRows(image.classes, tuple(segments), seed)
    asked = Request.from_json(table, "What was asked for")
    return SynthesisRequest(
        samplers=samplers,
        sources=tuple(sources),
        rows=rows,
        asked=asked,
        id=request_id(asked, first=0),
        quotas=quotas,
        format=chosen,
        shard_size=checked_shard_size(shard_size, image),
        batch_size=size,
        filters=own,
        set_filters=whole,
        attempts=attempts,
        real_counts=real_counts,
        real=real,
    )


def request_id(request: Request, first: int) -> str:
    """16 hex digits for the rows of ``request`` that are numbered from ``first``."""
    return canonical_digest({**request.to_json(), "first": first})[:16]


def _rows_of_samplers(
    samplers: Samplers,
    quotas: dict[str, int],
    shares: Mapping[str, int] | None,
    attributes: Mapping[str, Sequence[str]],
) -> tuple[list[Source], list[Segment]]:
    sources = samplers.sources()
    names = [source.name for source in sources]
    weights = dict.fromkeys(names, 1) if shares is None else dict(shares)
    if set(weights) == set(names) and not any(weights.values()):
        raise SynthgenError("All shares are 0.\nGive at least one a whole number above 0.")
    if set(weights) != set(names):
        raise SynthgenError(
            f"shares names {', '.join(weights) or 'nothing'}, but the samplers are "
            f"{', '.join(names)}.\nGive each a whole number, at least one above 0."
        )
    for name, weight in weights.items():
        whole_number(weight, f"shares.{name}")
    split = shared_quotas(quotas, {name: weights[name] for name in names})
    grid = attribute_grid(attributes)
    even = {str(cell): 1 for cell in range(len(grid))}
    cells: list[Source] = []
    segments: list[Segment] = []
    for source in sources:
        quotas_of_cell = shared_quotas(split[source.name], even)
        for cell, one in zip(even, cells_of(source, grid), strict=True):
            segments += segments_of(quotas_of_cell[cell], len(cells))
            cells.append(
                one
                if len(sources) == 1 or not one.attributes
                else replace(one, name=f"{source.name}: {one.name}")
            )
    return cells, segments


def _real_source(real: LabelledImages, samplers: Samplers) -> Source:
    data = samplers.provenance.data
    name = None if data is None else data.name
    return Source("real", RealImages(real), REAL, None, name or "real images")


def _checked_real(real: LabelledImages | None, image: ImageSpec) -> dict[str, int]:
    if real is None:
        raise SynthgenError(
            "mode=augment puts real training images beside the synthetic ones, and none were "
            "given.\nSay where they are: data=… as in training."
        )
    if real.image != image:
        raise SynthgenError(
            f"The real images are {real.image.shape} of {len(real.classes)} classes, the sampler's "
            f"{image.shape} of {len(image.classes)}.\nGive the data that it was trained on."
        )
    return dict(zip(real.classes, real.counts, strict=True))


def _split_filters(
    filters: Sequence[Filter | SetFilter], real: LabelledImages | None
) -> tuple[tuple[Filter, ...], tuple[SetFilter, ...]]:
    names = [one.name for one in filters]
    for name in names:
        if names.count(name) > 1:
            raise SynthgenError(f"The filter {name!r} is given twice.\nGive it once.")
    if filters and real is None:
        raise SynthgenError(
            "Filters are fitted on real training images, and none were given.\n"
            "Say where they are: data=… as in training."
        )
    own = tuple(one for one in filters if isinstance(one, Filter))
    return own, tuple(one for one in filters if isinstance(one, SetFilter))


def checked_shard_size(size: int | None, image: ImageSpec) -> int:
    """``size``, or as many images as make about 128 MiB: whole chunks, at most 960."""
    if size is None:
        pixels = image.channels * image.height * image.width
        chunks = min(MAX_SHARD, SHARD_BYTES // max(pixels, 1)) // Sampler.chunk
        return max(chunks, 1) * Sampler.chunk
    if not 1 <= whole_number(size, "shard_size") <= MAX_SHARD:
        raise SynthgenError(f"shard_size is {size}, but must be from 1 to {MAX_SHARD} images.")
    return size


def checked_batch_size(batch_size: int) -> int:
    """Rounded up to whole chunks, which is what the sampler computes in any case."""
    if whole_number(batch_size, "batch_size") == 0:
        raise SynthgenError("batch_size must be at least 1.")
    return -(-batch_size // Sampler.chunk) * Sampler.chunk


def plan_table(request: SynthesisRequest) -> str:
    """Plain text, one line per class."""
    by_source = torch.zeros(len(request.sources), len(request.image.classes), dtype=torch.int64)
    for segment in request.rows.segments:
        by_source[segment.source, segment.label] += segment.count
    heads = ["class", *(source.name for source in request.sources), "total"]
    lines = [
        [name, *(f"{int(n):,}" for n in column), f"{int(column.sum()):,}"]
        for name, column in zip(request.image.classes, by_source.T, strict=True)
    ]
    totals = [f"{int(n):,}" for n in by_source.sum(dim=1)]
    lines.append(["all", *totals, f"{len(request.rows):,}"])
    if len(request.sources) == 1:  # the total says it all
        heads, lines = [heads[0], "images"], [[line[0], line[-1]] for line in lines]
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [heads, *lines]
    )


def execution_record(sampler: Sampler) -> Execution:
    """What the bytes may depend on beside the seeds."""
    return Execution(
        chunk=sampler.chunk,
        threads=sampler.threads,
        device="cuda" if sampler.device.type == "cuda" else "cpu",
        torch=str(torch.__version__),
        zlib=zlib.ZLIB_RUNTIME_VERSION,
        cpu=cpu_model(),
    )


def cpu_model() -> str:
    """The processor's name, e.g. ``"AMD EPYC 9755"``; the architecture where it isn't told."""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
