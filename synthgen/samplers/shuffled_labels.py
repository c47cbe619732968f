"""Real images under wrong labels: what a classifier learns from images that say nothing."""

from __future__ import annotations

import torch

from synthgen.ranges import Seed
from synthgen.samplers.bootstrap import Bootstrap
from synthgen.seeds import step_generator
from synthgen.types import ImageSpec, LabelledImages


class ShuffledLabels(Bootstrap):
    """Copies of real training images whose labels were permuted once over the whole set, so each
    class keeps its number of images and loses its meaning.

    The artifact holds the training images themselves, so it is as confidential as they are.

    Args:
        seed: of the permutation.
    """

    def __init__(self, image: ImageSpec, seed: Seed = 0) -> None:
        super().__init__(image)
        self.seed = seed

    def fit(self, real: LabelledImages) -> None:
        order = torch.randperm(len(real), generator=step_generator(self.seed))
        super().fit(LabelledImages(real.images, real.labels[order], real.classes))
