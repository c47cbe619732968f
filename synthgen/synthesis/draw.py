"""Draw the rows of a shard, draw rejected ones again, and write each shard while the next is
drawn."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor

from synthgen.dataset.formats import Encoded, Shard
from synthgen.dataset.schema import SYNTHETIC, ShardFile, ShardHeader
from synthgen.errors import SynthgenError
from synthgen.images import put
from synthgen.synthesis.job import Job
from synthgen.synthesis.manifest import manifest_lines
from synthgen.synthesis.plan import Part
from synthgen.synthesis.request import SynthesisRequest


@dataclass(frozen=True)
class Drawn:
    """Rows with their images ``(N, C, H, W)``; seeds and attempts int64 ``(N,)``."""

    part: Part
    images: Tensor
    seeds: Tensor
    attempts: Tensor  # rejected draws before this one
    scores: dict[str, Tensor] = field(default_factory=dict)  # by filter; NaN for real images
    rejected: dict[str, Counter[int]] = field(default_factory=dict)  # filter -> label -> images


def draw_rows(request: SynthesisRequest, part: Part, index: Tensor, seeds: Tensor) -> Tensor:
    """The images of the rows ``part[index]``, drawn with ``seeds[index]``."""
    images = torch.empty(len(index), *request.image.shape, dtype=request.image.dtype)
    sources = part.sources[index]
    for number in sources.unique().tolist():
        source = request.sources[number]
        which = (sources == number).nonzero().flatten()
        rows = index[which]
        keys = seeds if source.origin == SYNTHETIC else part.positions
        for first in range(0, len(rows), request.batch_size):
            batch = slice(first, first + request.batch_size)
            drawn = source.draws.sample(part.labels[rows[batch]], keys[rows[batch]])
            put(images, which[batch], drawn.images)
    return images


def draw_part(
    request: SynthesisRequest, numbers: Sequence[int], attempts: Tensor | None = None
) -> Drawn:
    """Draw the rows ``numbers`` until the filters keep each; ``attempts`` int64 ``(N,)`` is where
    to begin counting. Raises SynthgenError when a row's attempts are used up."""
    part = request.rows.part(numbers)
    tried = torch.zeros(len(part), dtype=torch.int64) if attempts is None else attempts.clone()
    seeds = request.rows.seeds(part, tried)
    every = torch.arange(len(part))
    images = draw_rows(request, part, every, seeds)
    if not request.filters:
        return Drawn(part, images, seeds, tried)
    scores = {one.name: torch.full((len(part),), torch.nan) for one in request.filters}
    rejected: dict[str, Counter[int]] = {one.name: Counter() for one in request.filters}
    synthetic = torch.tensor([source.origin == SYNTHETIC for source in request.sources])
    pending = every[synthetic[part.sources]]
    while len(pending):
        pending = _rejected(request, part, images, pending, scores, rejected)
        tried[pending] += 1
        _require_attempts_left(request, part, pending, tried, rejected)
        if len(pending):
            seeds = request.rows.seeds(part, tried)
            put(images, pending, draw_rows(request, part, pending, seeds))
    return Drawn(part, images, seeds, tried, scores, rejected)


def _rejected(
    request: SynthesisRequest,
    part: Part,
    images: Tensor,
    pending: Tensor,
    scores: dict[str, Tensor],
    rejected: dict[str, Counter[int]],
) -> Tensor:
    """Positions of those ``pending`` rows that some filter rejects. A filter sees what the filters
    before it kept."""
    lost = [pending[:0]]
    for one in request.filters:
        if not len(pending):
            break
        verdicts = one.examine(images[pending], part.labels[pending])
        scores[one.name][pending] = verdicts.scores
        out = pending[~verdicts.keep]
        rejected[one.name].update(part.labels[out].tolist())
        lost.append(out)
        pending = pending[verdicts.keep]
    return torch.cat(lost).sort().values


def _require_attempts_left(
    request: SynthesisRequest,
    part: Part,
    pending: Tensor,
    tried: Tensor,
    rejected: dict[str, Counter[int]],
) -> None:
    over = pending[tried[pending] >= request.attempts]
    if not len(over):
        return
    index = int(over[0])
    label = int(part.labels[index])
    mine = part.labels == label
    unmet = int((mine[over]).sum())
    blame = max(request.filters, key=lambda one: rejected[one.name][label])
    raise SynthgenError(
        f"The plan can't be met: {unmet} of {int(mine.sum())} rows of class "
        f"{request.image.classes[label]!r} (row {part.numbers[index]:,} first) were rejected "
        f"{request.attempts} times, mostly by {blame.name!r}.\n"
        "Loosen that filter, allow more attempts=, or give the class a smaller quota."
    )


# Draw shards, and encode and write each in a thread while the next ones are being drawn.

THREADS = 2  # compression and file system calls release the GIL; more threads only wait for it
QUEUE = 2  # shards waiting at most, so that memory stays flat when the disk is slow


def write_shards(
    job: Job,
    request: SynthesisRequest,
    shards: Iterable[int],
    draw: Callable[[int], Drawn],
    advance: Callable[[int], None],
) -> None:
    """Bring ``shards`` to the disk, each with its record, and tell ``advance`` the images."""
    waiting: deque[Future[int]] = deque()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="shard")
    try:
        for shard in shards:
            waiting.append(pool.submit(_write_shard, job, request, shard, draw(shard)))
            while len(waiting) > QUEUE or (waiting and waiting[0].done()):
                advance(waiting.popleft().result())
        while waiting:
            advance(waiting.popleft().result())
    finally:
        pool.shutdown(cancel_futures=True)


def draw_shard(request: SynthesisRequest, shard: int) -> Drawn:
    return draw_part(request, request.numbers(shard))


def _write_shard(job: Job, request: SynthesisRequest, shard: int, drawn: Drawn) -> int:
    encoded = request.format.encode(content_of(request, shard, drawn))
    job.store.write_shard(encoded.files)
    lines = manifest_lines(request, drawn, encoded)
    job.record(shard, shard_header(request, shard, drawn, encoded), lines)
    return len(drawn.part)


def content_of(request: SynthesisRequest, shard: int, drawn: Drawn) -> Shard:
    """What a format is given: images and what is stored beside them."""
    part = drawn.part
    origins = [request.sources[source].origin for source in part.sources.tolist()]
    synthetic = [origin == SYNTHETIC for origin in origins]
    begin = f"synthetic; synthgen set {request.id} row "
    names = request.rows.names(part.numbers)
    seeds = drawn.seeds.tolist()
    return Shard(
        number=shard,
        images=drawn.images,
        labels=part.labels.tolist(),
        seeds=[seed if drew else None for seed, drew in zip(seeds, synthetic, strict=True)],
        origins=origins,
        names=names,
        marks=[
            f"{begin}{row}" if drew and request.id else ""
            for row, drew in zip(part.numbers, synthetic, strict=True)
        ],
        classes=request.image.classes,
    )


def shard_header(
    request: SynthesisRequest, shard: int, drawn: Drawn, encoded: Encoded
) -> ShardHeader:
    files = encoded.files if request.format.in_shards else ()
    return ShardHeader(
        shard=shard,
        first=drawn.part.numbers[0],
        count=len(drawn.part),
        files=tuple(
            ShardFile(file=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for path, content in files
        ),
        rejected={
            name: {str(label): count for label, count in sorted(counts.items())}
            for name, counts in drawn.rejected.items()
        },
    )
