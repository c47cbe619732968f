"""What turns images into rows of numbers, and gives its name to every metric computed from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from synthgen.evaluation.features.cache import cached_features
from synthgen.evaluation.features.float32 import full_float32
from synthgen.progress import track
from synthgen.types import LabelledImages


class Extractor(nn.Module, ABC):
    """uint8 ``(N, C, H, W)`` -> float32 ``(N, D)``.

    Args:
        batch_size: images in one forward pass; no feature depends on it.
        max_images: fidelity is measured on at most so many images of each set.
    """

    name: str  # goes beside every metric; different features must have different names
    cache: Path | None = None  # folder where features are kept and found again; None: nowhere

    def __init__(self, batch_size: int, max_images: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.max_images = max_images
        self.max_searched = max_images  # training images among which nearest ones are looked for

    def prepare(self, train: LabelledImages, seed: int) -> None:
        """Get ready, from the real training split alone. Only after this ``name`` is final."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """One batch of uint8 images on the extractor's device -> float32 ``(N, D)``."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Plain JSON for the report's protocol: what the features are and where they came from."""

    def extract(self, images: Tensor, description: str = "features") -> Tensor:
        """All images in batches, with progress; float32 ``(N, D)`` on the CPU. With ``cache`` set,
        only images that were never seen in this order are computed."""
        if self.cache is None:
            return self.compute(images, description)
        return cached_features(
            self.cache, self.name, images, lambda: self.compute(images, description)
        )

    @torch.inference_mode()
    def compute(self, images: Tensor, description: str = "features") -> Tensor:
        """:meth:`extract` without the cache. Beside the result it holds one batch at a time."""
        self.eval()
        tensors = [*self.parameters(), *self.buffers()]
        device = tensors[0].device if tensors else torch.device("cpu")
        features = torch.empty(0)
        with track(len(images), description) as advance, full_float32(device):
            for start in range(0, len(images), self.batch_size):
                batch = images[start : start + self.batch_size]
                found = self(batch.to(device)).float().cpu()
                if start == 0:
                    features = torch.empty(len(images), found.shape[1])
                features[start : start + len(batch)] = found
                advance(len(batch))
        return features
