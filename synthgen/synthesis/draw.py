"""Draw the rows of a shard, and draw rejected ones again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.synthesis.order import Order
from synthgen.synthesis.rows import Part
from synthgen.synthesis.sources import SYNTHETIC


@dataclass(frozen=True)
class Drawn:
    """Rows with their images: uint8 ``(N, C, H, W)``; seeds and attempts int64 ``(N,)``."""

    part: Part
    images: Tensor
    seeds: Tensor
    attempts: Tensor  # rejected draws before this one
    scores: dict[str, Tensor] = field(default_factory=dict)  # by filter; NaN for real images
    rejected: dict[str, Counter[int]] = field(default_factory=dict)  # filter -> label -> images


def draw_rows(order: Order, part: Part, index: Tensor, seeds: Tensor) -> Tensor:
    """The images of the rows ``part[index]``, drawn with ``seeds[index]``."""
    images = torch.empty(len(index), *order.image.shape, dtype=torch.uint8)
    sources = part.sources[index]
    for number in sources.unique().tolist():
        source = order.sources[number]
        which = (sources == number).nonzero().flatten()
        rows = index[which]
        keys = seeds if source.origin == SYNTHETIC else part.positions
        for first in range(0, len(rows), order.batch_size):
            batch = slice(first, first + order.batch_size)
            drawn = source.draws.sample(part.labels[rows[batch]], keys[rows[batch]])
            images[which[batch]] = drawn.images
    return images


def draw_part(order: Order, numbers: Sequence[int], attempts: Tensor | None = None) -> Drawn:
    """Draw the rows ``numbers`` until the filters keep each; ``attempts`` int64 ``(N,)`` is where
    to begin counting. Raises SynthgenError when a row's attempts are used up."""
    part = order.rows.part(numbers)
    tried = torch.zeros(len(part), dtype=torch.int64) if attempts is None else attempts.clone()
    seeds = order.rows.seeds(part, tried)
    every = torch.arange(len(part))
    images = draw_rows(order, part, every, seeds)
    if not order.filters:
        return Drawn(part, images, seeds, tried)
    scores = {one.name: torch.full((len(part),), torch.nan) for one in order.filters}
    rejected: dict[str, Counter[int]] = {one.name: Counter() for one in order.filters}
    synthetic = torch.tensor([source.origin == SYNTHETIC for source in order.sources])
    pending = every[synthetic[part.sources]]
    while len(pending):
        pending = _rejected(order, part, images, pending, scores, rejected)
        tried[pending] += 1
        _require_attempts_left(order, part, pending, tried, rejected)
        if len(pending):
            seeds = order.rows.seeds(part, tried)
            images[pending] = draw_rows(order, part, pending, seeds)
    return Drawn(part, images, seeds, tried, scores, rejected)


def _rejected(
    order: Order,
    part: Part,
    images: Tensor,
    pending: Tensor,
    scores: dict[str, Tensor],
    rejected: dict[str, Counter[int]],
) -> Tensor:
    """Positions of those ``pending`` rows that some filter rejects. A filter sees what the filters
    before it kept."""
    lost = [pending[:0]]
    for one in order.filters:
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
    order: Order, part: Part, pending: Tensor, tried: Tensor, rejected: dict[str, Counter[int]]
) -> None:
    over = pending[tried[pending] >= order.attempts]
    if not len(over):
        return
    index = int(over[0])
    label = int(part.labels[index])
    mine = part.labels == label
    unmet = int((mine[over]).sum())
    blame = max(order.filters, key=lambda one: rejected[one.name][label])
    raise SynthgenError(
        f"The plan can't be met: {unmet} of {int(mine.sum())} rows of class "
        f"{order.image.classes[label]!r} (row {part.numbers[index]:,} first) were rejected "
        f"{order.attempts} times, mostly by {blame.name!r}.\n"
        "Loosen that filter, allow more attempts=, or give the class a smaller quota."
    )
