"""What turns images into rows of numbers, and gives its name to every metric computed from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from synthgen.progress import track
from synthgen.types import LabelledImages


class Extractor(nn.Module, ABC):
    """uint8 ``(N, C, H, W)`` -> float32 ``(N, D)``.

    Args:
        batch_size: images in one forward pass; no feature depends on it.
        max_images: fidelity is measured on at most so many images of each set.
    """

    name: str  # goes beside every metric; different features must have different names

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

    @torch.inference_mode()
    def extract(self, images: Tensor, description: str = "features") -> Tensor:
        """All images in batches, with progress; float32 ``(N, D)`` on the CPU."""
        self.eval()
        tensors = [*self.parameters(), *self.buffers()]
        device = tensors[0].device if tensors else torch.device("cpu")
        found = []
        with track(len(images), description) as advance:
            for batch in images.split(self.batch_size):
                found.append(self(batch.to(device)).float().cpu())
                advance(len(batch))
        return torch.cat(found)
