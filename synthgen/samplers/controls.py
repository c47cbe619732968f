"""Controls that a good evaluator must tell apart: copies of real images, noise, wrong labels."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import TOP
from synthgen.ranges import Seed
from synthgen.samplers.base import FittedSampler, one_of_class, sorted_by_class
from synthgen.seeds import image_rng, step_generator
from synthgen.types import ImageSpec, LabelledImages


class Bootstrap(FittedSampler):
    """Draws real training images of the class with replacement (Efron 1979).

    The artifact holds the training images themselves, so it is as confidential as they are.
    """

    exposes_real: ClassVar[bool] = True

    def __init__(self, image: ImageSpec) -> None:
        super().__init__(image)
        self.register_buffer("images", torch.empty(0, *image.shape, dtype=image.dtype))
        self.register_buffer("first", torch.zeros(image.num_classes + 1, dtype=torch.int64))

    images: Tensor  # (N, C, H, W) of image.dtype, sorted by class
    first: Tensor  # int64 (classes + 1,): class i is images[first[i]:first[i + 1]]

    def fit(self, real: LabelledImages) -> None:
        counts = real.counts
        if 0 in counts:
            raise SynthgenError(
                f"Class {self.image.classes[counts.index(0)]!r} has no training images to copy.\n"
                "Add images to it or leave the class out."
            )
        self.images, self.first = sorted_by_class(real.images, real)

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        return self.images[one_of_class(self.first, labels, seeds)]


# Uniform noise: the control at the other end of the scale.


class Noise(FittedSampler):
    """Every pixel uniform over all levels, independent of the class and of the real images."""

    def fit(self, real: LabelledImages) -> None:
        """Nothing is learned."""

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        shape = self.image.shape
        kind = np.uint8 if self.image.bits == 8 else np.uint16
        images = [
            image_rng(seed).integers(0, TOP[self.image.bits] + 1, size=shape, dtype=kind)
            for seed in seeds.tolist()
        ]
        return torch.from_numpy(np.stack(images))


# Real images under wrong labels: what a classifier learns from images that say nothing.


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
        super().fit(replace(real, labels=real.labels[order], groups=None))
