"""The pass over the whole set: filters that need to see all of it, in row order.

All decisions are made before the first shard is written again, and kept in one file: a process
that is killed makes the same decisions again, or finds them made. Shards and processes play no
part in them.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthgen.dataset.formats.arrays import write_npz
from synthgen.dataset.formats.read import read_stored
from synthgen.dataset.schema import SYNTHETIC
from synthgen.dataset.storage import WORK
from synthgen.errors import SynthgenError
from synthgen.progress import track
from synthgen.synthesis.draw import Drawn, draw_part, write_shards
from synthgen.synthesis.job import Job
from synthgen.synthesis.plan import Part
from synthgen.synthesis.request import SynthesisRequest

SETTLED, SCORES = f"{WORK}/settled.json", f"{WORK}/settled.npz"


@dataclass(frozen=True)
class Settled:
    """What the pass decided: the attempt of each replaced row, who was rejected, all scores."""

    attempts: dict[int, int]
    rejected: dict[str, Counter[int]]  # filter -> label -> images
    scores: dict[str, np.ndarray]  # by filter, float32 (rows,); NaN for real images


def apply_set_filters(job: Job, request: SynthesisRequest) -> Settled | None:
    """Examine the whole set and replace what is rejected; None if no filter asks for it."""
    if not request.set_filters:
        return None
    if not job.store.exists(SETTLED):
        decisions = _Decisions(job, request)
        decisions.make()
        _keep(job, decisions)
    settled = _read(job)
    _replace_rows(job, request, settled)
    return settled


class _Decisions:
    def __init__(self, job: Job, request: SynthesisRequest) -> None:
        self.job, self.request = job, request
        rows = len(request.rows)
        self.scores = {one.name: np.full(rows, np.nan, np.float32) for one in request.set_filters}
        names = [one.name for one in request.all_filters]
        self.rejected: dict[str, Counter[int]] = {name: Counter() for name in names}
        self.attempts: dict[int, int] = {}

    def make(self) -> None:
        for one in self.request.set_filters:
            one.begin()
        pending = self._first_look()
        while pending:
            self._require_attempts_left(pending)
            pending = self._another_draw(pending)

    def _first_look(self) -> dict[int, int]:
        """All images as they are stored; returns the rejected rows and their next attempts."""
        pending: dict[int, int] = {}
        with track(len(self.request.rows), "Comparing", unit="images") as advance:
            for shard in self.request.shards:
                part = self.request.rows.part(self.request.numbers(shard))
                images, attempts = stored_shard(self.job, self.request, shard)
                pending |= self._examine(part, images, attempts)
                advance(len(part))
        return pending

    def _another_draw(self, pending: dict[int, int]) -> dict[int, int]:
        rows = list(pending)
        again: dict[int, int] = {}
        for first in range(0, len(rows), self.request.shard_size):
            batch = rows[first : first + self.request.shard_size]
            attempts = torch.tensor([pending[row] for row in batch])
            drawn = draw_part(self.request, batch, attempts)
            for name, counts in drawn.rejected.items():
                self.rejected[name].update(counts)
            self.attempts.update(zip(batch, drawn.attempts.tolist(), strict=True))
            again |= self._examine(drawn.part, drawn.images, drawn.attempts)
        return again

    def _examine(self, part: Part, images: Tensor, attempts: Tensor) -> dict[int, int]:
        origins = [source.origin == SYNTHETIC for source in self.request.sources]
        index = torch.tensor(origins)[part.sources].nonzero().flatten()
        lost: dict[int, int] = {}
        for one in self.request.set_filters:
            verdicts = one.examine(images[index], part.labels[index])
            rows = np.array(part.numbers)[index.numpy()] - self.request.rows.first
            self.scores[one.name][rows] = verdicts.scores.numpy()
            out = index[~verdicts.keep]
            self.rejected[one.name].update(part.labels[out].tolist())
            lost |= {part.numbers[i]: int(attempts[i]) + 1 for i in out.tolist()}
            index = index[verdicts.keep]
        return dict(sorted(lost.items()))

    def _require_attempts_left(self, pending: dict[int, int]) -> None:
        over = [row for row, attempt in pending.items() if attempt >= self.request.attempts]
        if over:
            label = int(self.request.rows.part(over[:1]).labels[0])
            raise SynthgenError(
                f"The plan can't be met: {len(over):,} rows (row {over[0]:,} of class "
                f"{self.request.image.classes[label]!r} first) were rejected "
                f"{self.request.attempts} times by {self.request.set_filters[0].name!r}.\n"
                "Loosen that filter, allow more attempts=, or ask for fewer images."
            )


def stored_shard(job: Job, request: SynthesisRequest, shard: int) -> tuple[Tensor, Tensor]:
    """A shard's images as they lie in the set, uint8 ``(N, C, H, W)``, and its rows' attempts."""
    entries = [json.loads(line) for line in job.lines(shard)]
    attempts = torch.tensor([entry.get("attempt", 0) for entry in entries], dtype=torch.int64)
    files = list(dict.fromkeys(entry["file"] for entry in entries))
    found = [read_stored(file, job.store.read(file))[0] for file in files]
    return torch.cat([_channels(pixels, request.image.channels) for pixels in found]), attempts


def _channels(pixels: np.ndarray, channels: int) -> Tensor:
    """``(N, H, W[, C])`` -> ``(N, C, H, W)`` with the set's channels: WebP has no grey images."""
    images = torch.from_numpy(pixels.reshape(*pixels.shape[:3], -1)).permute(0, 3, 1, 2)
    return images[:, :channels].expand(-1, channels, -1, -1).contiguous()


def _keep(job: Job, decisions: _Decisions) -> None:
    job.store.write(SCORES, [write_npz(decisions.scores)])
    text = json.dumps({"attempts": decisions.attempts, "rejected": decisions.rejected})
    job.store.write(SETTLED, [text.encode()])


def _read(job: Job) -> Settled:
    text: dict[str, Any] = json.loads(job.store.read(SETTLED))
    with np.load(io.BytesIO(job.store.read(SCORES)), allow_pickle=False) as archive:
        scores = {name: archive[name] for name in archive.files}
    return Settled(
        {int(row): attempt for row, attempt in text["attempts"].items()},
        counted(text["rejected"]),
        scores,
    )


def counted(rejected: dict[str, dict[str, int]]) -> dict[str, Counter[int]]:
    """Counts by filter and label, as JSON keeps them."""
    return {
        name: Counter({int(label): count for label, count in counts.items()})
        for name, counts in rejected.items()
    }


def _replace_rows(job: Job, request: SynthesisRequest, settled: Settled) -> None:
    """Write the shards of replaced rows again, but for those that were before a kill."""
    places = {(row - request.rows.first) // request.shard_size for row in settled.attempts}
    touched = [request.shards[place] for place in sorted(places)]
    stale = [shard for shard in touched if _is_stale(job, request, shard, settled)]

    def draw(shard: int) -> Drawn:
        numbers = request.numbers(shard)
        attempts = torch.tensor(_attempts(job, numbers, shard, settled))
        drawn = draw_part(request, numbers, attempts)
        return replace(drawn, rejected=counted(job.header(shard).rejected))

    images = sum(len(request.numbers(shard)) for shard in stale)
    with track(images, "Replacing", unit="images") as advance:
        write_shards(job, request, stale, draw, advance)


def _attempts(job: Job, numbers: Sequence[int], shard: int, settled: Settled) -> list[int]:
    stored = [json.loads(line)["attempt"] for line in job.lines(shard)]
    return [settled.attempts.get(row, old) for row, old in zip(numbers, stored, strict=True)]


def _is_stale(job: Job, request: SynthesisRequest, shard: int, settled: Settled) -> bool:
    stored = [json.loads(line)["attempt"] for line in job.lines(shard)]
    return stored != _attempts(job, request.numbers(shard), shard, settled)
