"""Which share of the real images of a class or group the synthetic set reaches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from synthgen.evaluation.metrics.halves import HALVINGS, scatter_of
from synthgen.evaluation.metrics.intervals import LEVEL, Estimate, simultaneous, wilson
from synthgen.evaluation.picking import never_too_short


class Reach:
    """Shares with the scatter of both sets: whether real images are reached depends on synthetic
    ones that they share.

    Args:
        reached: bool ``(M,)``, of the real images.
        of_halves, half: bool ``(S, M)``, the same of halves of both sets, and which half each image
            was in.
        members: ascending positions of the images of each class or group that is looked at.
    """

    def __init__(
        self,
        reached: np.ndarray,
        of_halves: Tensor,
        half: Tensor,
        members: Mapping[str, np.ndarray],
    ) -> None:
        self.reached, self.of_halves, self.half = reached, of_halves, half
        self.members = members
        self.usual = self._usual_effect()

    def _usual_effect(self) -> float:
        """How many times as much as single images those of one class scatter, over all classes: 20
        halvings of a few images don't tell it for one of them."""
        found, single = 0.0, 0.0
        for own in self.members.values():
            scatter = scatter_of(self.of_halves, self.half, torch.from_numpy(own))
            found += scatter.variance * len(own)
            single += scatter.at_half * (1 - scatter.at_half)
        return max(found / single, 1.0) if single > 0 else 1.0

    def share(self, own: np.ndarray, level: float = LEVEL) -> Estimate:
        """Of the images at these positions."""
        value, count = float(self.reached[own].mean()), len(own)
        scatter = scatter_of(self.of_halves, self.half, torch.from_numpy(own))
        single = scatter.at_half * (1 - scatter.at_half)
        effect = scatter.variance * count / single if single > 0 else 1.0
        alike = count / max(effect, self.usual)
        found = wilson(value * alike, alike, degrees=HALVINGS, level=level)
        return never_too_short(found, alike, level) if level > LEVEL else found

    def lowest(self) -> str:
        shares = {name: float(self.reached[own].mean()) for name, own in self.members.items()}
        return min(shares, key=lambda name: (shares[name], name))

    def apart(self, name: str) -> tuple[Estimate, Estimate]:
        """The share of one that was picked, and that of all the others together; at the level of
        the picking."""
        level = simultaneous(len(self.members))
        others = np.concatenate([own for other, own in self.members.items() if other != name])
        return self.share(self.members[name], level), self.share(others, level)
