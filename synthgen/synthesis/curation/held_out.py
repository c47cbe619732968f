"""Real training images that a score is not fitted to, to see what it says about them."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.data.hashing import image_hashes
from synthgen.data.whole_groups import whole_groups
from synthgen.errors import SynthgenError
from synthgen.seeds import step_generator
from synthgen.types import LabelledImages

STREAM = 52
FEWEST = 20


def some_of_each(labels: Tensor, most: int, seed: int) -> Tensor:
    """At most ``most`` positions, ascending, as many of every class as there are: no class takes
    more than its even share while another one has more to give."""
    order = torch.randperm(len(labels), generator=step_generator(seed, STREAM))
    shuffled = labels[order]
    turn = torch.empty(len(labels), dtype=torch.int64)  # the how-many-th image of its class
    for label in shuffled.unique().tolist():
        mine = (shuffled == label).nonzero().flatten()
        turn[mine] = torch.arange(len(mine))
    return order[turn.argsort(stable=True)][:most].sort().values


def divided(real: LabelledImages, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Positions to fit to and positions held out, ``share`` of every class that has two or more
    images (at least one), in whole groups if the images have any."""
    if real.groups is not None:
        random = step_generator(seed, STREAM)
        return both_sides(whole_groups(real.labels, real.groups, share, random))
    order = torch.randperm(len(real), generator=step_generator(seed, STREAM))
    held = torch.zeros(len(real), dtype=torch.bool)
    for label in range(len(real.classes)):
        mine = order[real.labels[order] == label]
        held[mine[: max(1, round(share * len(mine))) if len(mine) > 1 else 0]] = True
    return both_sides(held)


def both_sides(held: Tensor) -> tuple[Tensor, Tensor]:
    """Ascending positions of what isn't held out and of what is."""
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def halves(real: LabelledImages, seed: int) -> tuple[Tensor, Tensor]:
    """Ascending positions of two halves, as even as can be within every class without tearing a
    group: one for a space to be fitted to, and one that it doesn't know, to see what it says about
    new images."""
    random = step_generator(seed, STREAM)
    if real.groups is not None:
        return both_sides(whole_groups(real.labels, real.groups, 0.5, random))
    order = torch.randperm(len(real), generator=random)
    order = order[real.labels[order].argsort(stable=True)]
    return order[::2].sort().values, order[1::2].sort().values


def without_copies(real: LabelledImages) -> LabelledImages:
    """The first of each group of equal images. Raises SynthgenError if too few are left."""
    first: dict[str, int] = {}
    for position, digest in enumerate(image_hashes(real.images)):
        first.setdefault(digest, position)
    if len(first) < FEWEST:
        raise SynthgenError(
            f"A filter needs at least {FEWEST} different training images, and there are "
            f"{len(first)}.\nDraw the set without filters."
        )
    return real.subset(list(first.values()))


def class_medians(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """float64 ``(classes,)``; the median of all where a class has no value."""
    return torch.stack(
        [
            values[labels == label].median() if bool((labels == label).any()) else values.median()
            for label in range(classes)
        ]
    )
