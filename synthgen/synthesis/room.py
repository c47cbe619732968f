"""Has the disk the room for what was ordered? Asked before the first image is drawn."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from synthgen.dataset.storage import LocalStore
from synthgen.errors import SynthgenError
from synthgen.synthesis.draw import Drawn, content_of, draw_rows
from synthgen.synthesis.job import Job
from synthgen.synthesis.manifest import manifest_lines
from synthgen.synthesis.request import SynthesisRequest

PREVIEW = 256  # images that are drawn to see how many bytes they take
SHORTEST_LINE = 200  # bytes of the manifest
MOST_PER_PIXEL, MOST_BESIDE = 2, 16_384  # bytes that no image exceeds: no format doubles a pixel
GB = 1e9


@dataclass(frozen=True)
class Room:
    """Bytes and files: what a set needs, or what a disk has left."""

    bytes: float
    files: float


def require_room(job: Job, request: SynthesisRequest) -> None:
    """Raises SynthgenError if the shards that are missing will not fit on the disk. What fits by
    any measure isn't looked at further; else a few rows are drawn and encoded. Of a place behind a
    URL nothing is known."""
    if not isinstance(job.store, LocalStore):
        return
    folder = job.store.folder
    done = [shard for shard in job.finished() if shard in request.shards]
    images = len(request.rows) - sum(len(request.numbers(shard)) for shard in done)
    pixels = math.prod(request.image.shape)
    files = files_of(request, images)
    most = Room(images * (MOST_PER_PIXEL * pixels + MOST_BESIDE), files)
    if images and not fits(most, left := free(folder)):
        require_free(Room(images * bytes_per_image(request, folder), files), left, folder)


def require_least_room(folder: Path, images: int, *, in_shards: bool) -> None:
    """Raises SynthgenError if not even the lists of so many images fit on the disk of ``folder``,
    with a block and a file of each that doesn't lie in a shard: known before a sampler is."""
    block, files = (0, 0) if in_shards else (block_size(folder), images)
    require_free(Room(images * (block + 2 * SHORTEST_LINE), files), free(folder), folder)


def files_of(request: SynthesisRequest, images: int) -> int:
    """A few for each shard, its record among them; with one file per image those too."""
    return 3 * -(-images // request.shard_size) + (0 if request.format.in_shards else images)


def bytes_per_image(request: SynthesisRequest, folder: Path) -> float:
    """What some rows take, evenly chosen: their files in whole blocks of the disk, and their lines,
    which lie in the shards' records and, in the end, in the manifest too."""
    plain = dataclasses.replace(
        request, filters=(), set_filters=()
    )  # as many bytes, and not fitted
    count = min(PREVIEW, request.shard_size, len(request.rows))
    last = request.rows.stop - 1
    numbers = np.linspace(request.rows.first, last, count).astype(np.int64).tolist()
    part = request.rows.part(numbers)
    tried = torch.zeros(len(part), dtype=torch.int64)
    seeds = request.rows.seeds(part, tried)
    drawn = Drawn(part, draw_rows(plain, part, torch.arange(len(part)), seeds), seeds, tried)
    encoded = request.format.encode(content_of(plain, request.first_shard, drawn))
    block = 1 if request.format.in_shards else block_size(folder)
    stored = sum(-(-len(content) // block) * block for _, content in encoded.files)
    lines = sum(map(len, manifest_lines(plain, drawn, encoded)))
    return (stored + 2 * lines) / len(part)


def free(folder: Path) -> Room:
    """What is left on the disk of ``folder``, which exists. A file system that makes room for files
    as it goes has no limit of them."""
    files = math.inf
    if hasattr(os, "statvfs"):
        found = os.statvfs(folder)
        files = found.f_favail if found.f_files else math.inf
    return Room(shutil.disk_usage(folder).free, files)


def block_size(folder: Path) -> int:
    return os.statvfs(folder).f_frsize if hasattr(os, "statvfs") else 4096


def fits(needed: Room, left: Room) -> bool:
    return needed.bytes <= left.bytes and needed.files <= left.files


def require_free(needed: Room, left: Room, folder: Path) -> None:
    """Raises SynthgenError if ``needed`` is more than what is ``left`` on the disk."""
    if needed.bytes > left.bytes:
        raise SynthgenError(
            f"The set would take about {needed.bytes / GB:,.1f} GB, and the disk of {folder} has "
            f"{left.bytes / GB:,.1f} GB left.\n"
            "Order fewer images, choose another out= or a smaller format, or free some space."
        )
    if needed.files > left.files:
        raise SynthgenError(
            f"The set would be {int(needed.files):,} files, and the disk of {folder} takes "
            f"{int(left.files):,} more.\n"
            "Choose a format with many images in a file (format=npz, webdataset, parquet, hdf5)."
        )
