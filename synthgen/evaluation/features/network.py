"""What all extractors around a fixed network share: preprocessing, naming, devices."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor, nn

from synthgen.evaluation.features.base import Extractor
from synthgen.evaluation.features.preprocessing import Preprocessing
from synthgen.evaluation.features.weights import weights_digest
from synthgen.hardware import default_device
from synthgen.paths import canonical_digest
from synthgen.types import LabelledImages


class NetworkExtractor(Extractor):
    """Features of a network that learns nothing here.

    ``name`` ends in 8 hex digits of a hash over the weights, the preprocessing and ``facts``.

    Args:
        network: float32 images -> ``(N, D)``, or ``(N, D, H, W)``, of which the mean over the
            pixels is taken.
        facts: plain JSON that tells this network from others with the same weights.
        weights_file: the file's name, for the protocol.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        title: str,
        preprocessing: Preprocessing,
        facts: dict[str, Any],
        weights_file: str | None,
        batch_size: int,
        max_images: int,
    ) -> None:
        super().__init__(batch_size, max_images)
        self.network = network.requires_grad_(False).eval()
        self.preprocessing = preprocessing
        self.facts = facts
        self.weights_file = weights_file
        self.weights_sha256 = weights_digest(network)
        identity = [self.weights_sha256, preprocessing.to_json(), facts]
        readable = re.sub(r"[^A-Za-z0-9_.]+", "_", title)
        self.name = f"{readable}-{canonical_digest(identity)[:8]}"

    def prepare(self, train: LabelledImages, seed: int) -> None:
        """Nothing is learned; moves to the GPU if there is one."""
        self.to(default_device())

    def forward(self, images: Tensor) -> Tensor:
        features = self.network(self.preprocessing(images))
        if features.ndim == 4:
            features = features.mean((2, 3))
        if features.ndim != 2 or len(features) != len(images):
            raise ValueError(
                f"{self.name}: the network made {tuple(features.shape)} of {len(images)} images, "
                "not one row of numbers per image"
            )
        return features

    def describe(self) -> dict[str, Any]:
        return {
            **self.facts,
            "preprocessing": self.preprocessing.to_json(),
            "weights_file": self.weights_file,
            "weights_sha256": self.weights_sha256,
            "max_images": self.max_images,
        }
