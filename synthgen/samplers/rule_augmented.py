"""Real images changed by rules that keep their class."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from synthgen.images import to_float, to_uint8
from synthgen.rules.base import Rule
from synthgen.rules.randomness import ImageRandom
from synthgen.samplers.bootstrap import Bootstrap
from synthgen.seeds import image_rng
from synthgen.types import ImageSpec

PARTNER_STREAM = 1  # picks the second image; stream 0 the first


class RuleAugmented(Bootstrap):
    """Draws a training image of the class, and a partner, and applies each rule in its order.

    Changed or not, every draw shows a real image, and the artifact holds them all. Rules work on
    the CPU, wherever the images are kept.

    Args:
        rules: by a name of their own, so that one of them can be changed or left out; an entry that
            is None is skipped.
    """

    def __init__(self, image: ImageSpec, rules: Mapping[str, Rule | None]) -> None:
        super().__init__(image)
        self.rules = dict(rules)

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        images = to_float(super().draw(labels, seeds).cpu())
        partners = to_float(self.images[self._partners(labels, seeds)].cpu())
        for position, rule in enumerate(self.rules.values()):
            if rule is not None:
                random = ImageRandom(seeds, stream=1 + position)
                images = rule.apply(images, random, partners)
        return to_uint8(images)

    def _partners(self, labels: Tensor, seeds: Tensor) -> Tensor:
        first = self.first.tolist()
        index = [
            int(image_rng(seed, PARTNER_STREAM).integers(first[label], first[label + 1]))
            for label, seed in zip(labels.tolist(), seeds.tolist(), strict=True)
        ]
        return torch.tensor(index)
