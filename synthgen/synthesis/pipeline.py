"""Draw shards, and encode and write each in a thread while the next ones are being drawn."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from synthgen.synthesis.draw import Drawn, draw_part
from synthgen.synthesis.formats import Encoded, Shard
from synthgen.synthesis.job import Job
from synthgen.synthesis.manifest import manifest_lines
from synthgen.synthesis.order import Order
from synthgen.synthesis.sources import SYNTHETIC

THREADS = 2  # compression and file system calls release the GIL; more threads only wait for it
QUEUE = 2  # shards waiting at most, so that memory stays flat when the disk is slow


def write_shards(
    job: Job,
    order: Order,
    shards: Iterable[int],
    draw: Callable[[int], Drawn],
    advance: Callable[[int], None],
) -> None:
    """Bring ``shards`` to the disk, each with its record, and tell ``advance`` the images."""
    waiting: deque[Future[int]] = deque()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="shard")
    try:
        for shard in shards:
            waiting.append(pool.submit(_write_shard, job, order, shard, draw(shard)))
            while len(waiting) > QUEUE or (waiting and waiting[0].done()):
                advance(waiting.popleft().result())
        while waiting:
            advance(waiting.popleft().result())
    finally:
        pool.shutdown(cancel_futures=True)


def draw_shard(order: Order, shard: int) -> Drawn:
    return draw_part(order, order.numbers(shard))


def _write_shard(job: Job, order: Order, shard: int, drawn: Drawn) -> int:
    encoded = order.format.encode(content_of(order, shard, drawn))
    job.store.write_shard(encoded.files)
    lines = manifest_lines(order, drawn, encoded)
    job.record(shard, shard_header(order, shard, drawn, encoded), lines)
    return len(drawn.part)


def content_of(order: Order, shard: int, drawn: Drawn) -> Shard:
    """What a format is given: images and what is stored beside them."""
    part = drawn.part
    origins = [order.sources[source].origin for source in part.sources.tolist()]
    synthetic = [origin == SYNTHETIC for origin in origins]
    begin = f"synthetic; synthgen set {order.id} row "
    names = order.rows.names(part.numbers)
    seeds = drawn.seeds.tolist()
    return Shard(
        number=shard,
        images=drawn.images,
        labels=part.labels.tolist(),
        seeds=[seed if drew else None for seed, drew in zip(seeds, synthetic, strict=True)],
        origins=origins,
        names=names,
        marks=[
            f"{begin}{row}" if drew and order.id else ""
            for row, drew in zip(part.numbers, synthetic, strict=True)
        ],
        classes=order.image.classes,
    )


def shard_header(order: Order, shard: int, drawn: Drawn, encoded: Encoded) -> dict[str, Any]:
    """The first line of a shard's record: its files, and what was rejected while it was drawn."""
    files = []
    if order.format.in_shards:
        files = [
            {"file": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for path, content in encoded.files
        ]
    return {
        "shard": shard,
        "first": drawn.part.numbers[0],
        "count": len(drawn.part),
        "files": files,
        "rejected": {
            name: {str(label): count for label, count in sorted(counts.items())}
            for name, counts in drawn.rejected.items()
        },
    }
