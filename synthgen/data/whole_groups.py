"""A part of some images, held out to see what is said about new ones, that tears no group apart."""

from __future__ import annotations

import torch
from torch import Tensor


def whole_groups(labels: Tensor, groups: Tensor, share: float, random: torch.Generator) -> Tensor:
    """bool ``(N,)``: about ``share`` of each class, in whole groups (of one patient, say).

    int64 labels and groups ``(N,)``. The largest groups are dealt out first, each to the side that
    lacks more of its classes; at least one image of a class is held out if it is in several groups.
    """
    _, unit = groups.unique(return_inverse=True)
    units, classes = int(unit.max()) + 1, int(labels.max()) + 1
    content = torch.bincount(unit * classes + labels, minlength=units * classes)
    content = content.view(units, classes).double()
    wanted = (share * content.sum(0)).round()
    left = (content > 0).sum(0)  # groups of each class still to be dealt out
    without = left > 1  # classes of which some must be held out, and nothing is yet
    lacking = [content.sum(0) - wanted, wanted]
    order = torch.randperm(units, generator=random)
    order = order[content.sum(1)[order].argsort(descending=True, stable=True)]
    held = torch.zeros(units, dtype=torch.bool)
    for one in order.tolist():
        needs = [float(content[one] @ side) for side in lacking]
        here = content[one] > 0
        held[one] = needs[1] > needs[0] or bool((here & without & (left == 1)).any())
        lacking[int(held[one])] -= content[one]
        left -= here.long()
        without &= ~(here & held[one])
    return held[unit]
