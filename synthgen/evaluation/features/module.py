"""Any network of the person's own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from torch import nn

from synthgen.evaluation.features.network import NetworkExtractor
from synthgen.evaluation.features.preprocessing import Preprocessing, as_size
from synthgen.evaluation.features.weights import find_weights, load_every_tensor, read_tensors
from synthgen.ranges import BatchSize, Count, Positive, Real, Side


class ModuleExtractor(NetworkExtractor):
    """Features of any ``nn.Module`` that turns float32 images into ``(N, D)`` or ``(N, D, H, W)``.

    Args:
        network: the module; from the command line by its dotted path, from an allowed package.
        weights: file with its tensors; None leaves it as its constructor made it.
        size: input size, one number or [height, width]; None leaves images as they are.
        channels: what it takes, 1 or 3; None: whatever the images have.
        mean, std: its normalisation in units of 0..1, per channel or for all.
        title: first part of the features' name.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | None = None,
        size: Side | list[Side] | None = None,
        channels: Literal[1, 3] | None = None,
        mean: list[Real] | None = None,
        std: list[Positive] | None = None,
        title: str = "module",
        batch_size: BatchSize = 128,
        max_images: Count = 10_000,
    ) -> None:
        if weights is not None:
            path = find_weights(weights, [], option="extractor.module", what=title)
            load_every_tensor(network, read_tensors(path), path)
        super().__init__(
            network,
            title=title,
            preprocessing=Preprocessing(
                size=as_size(size),
                channels=channels,
                mean=tuple(mean or (0.0,)),
                std=tuple(std or (1.0,)),
            ),
            facts={
                "kind": "module",
                "network": f"{type(network).__module__}.{type(network).__qualname__}",
                # Weights alone don't tell a ReLU from a GELU.
                "layers_sha256": hashlib.sha256(repr(network).encode()).hexdigest(),
            },
            weights_file=Path(weights).name if weights else None,
            batch_size=batch_size,
            max_images=max_images,
        )
