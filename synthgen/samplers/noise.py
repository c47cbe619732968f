"""Uniform noise: the control at the other end of the scale."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synthgen.samplers.base import FittedSampler
from synthgen.seeds import image_rng
from synthgen.types import LabelledImages


class Noise(FittedSampler):
    """Every pixel uniform over 0..255, independent of the class and of the real images."""

    def fit(self, real: LabelledImages) -> None:
        """Nothing is learned."""

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        shape = self.image.shape
        images = [
            image_rng(seed).integers(0, 256, size=shape, dtype=np.uint8) for seed in seeds.tolist()
        ]
        return torch.from_numpy(np.stack(images))
