"""Samplers that have a space of latents, and ways through it and between classes."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.func import functional_call

from synthgen.samplers.base import Sampler
from synthgen.samplers.spread import Spread

PARALLEL = 1e-4  # sine of an angle below which a great circle is a straight line


class LatentSampler(Sampler):
    """A sampler whose images have a place in a space of latents, so that one can walk there."""

    spread = Spread()

    def set_latents(self, *, temperature: float | None, truncation: float | None) -> None:
        self.spread = Spread(temperature, truncation)

    @abstractmethod
    def latents(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """int64 ``(N,)`` both -> float32 ``(N, Z)``, those that :meth:`draw` starts from."""

    @abstractmethod
    def decode(self, z: Tensor, class_weights: Tensor) -> Tensor:
        """float32 ``(N, Z)`` and ``(N, classes)`` -> float ``(N, C, H, W)``, nominally [-1, 1].

        A row of ``class_weights`` mixes the embeddings of the classes; one 1 among zeros is a
        class. Gradients flow to both.
        """

    @abstractmethod
    def between(self, first: Tensor, second: Tensor, share: Tensor) -> Tensor:
        """float32 ``(N, Z)`` twice and ``(N,)`` in [0, 1] -> ``(N, Z)``, from first to second."""


def spherical(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation (Shoemake 1985, section 3.3) of rows whose lengths may differ: the
    way between stays as far from the origin as draws from N(0, I) do, a straight line does not."""
    cosine = nn.functional.cosine_similarity(first, second, dim=1).clamp(-1, 1)
    angle, share = cosine.arccos()[:, None], share[:, None]
    sine = angle.sin()
    arc = (((1 - share) * angle).sin() * first + (share * angle).sin() * second) / sine
    return torch.where(sine > PARALLEL, arc, torch.lerp(first, second, share))


def of_mixed_classes(network: nn.Module, z: Tensor, class_weights: Tensor) -> Tensor:
    """``network(z, labels)`` where each row has embeddings of its own: mixtures of those of the
    classes, linear in ``class_weights`` ``(N, classes)``."""
    classes = class_weights.shape[1]
    mixed = {
        f"{name}.weight": class_weights @ layer.weight
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Embedding) and layer.num_embeddings == classes
    }
    return functional_call(network, mixed, (z, torch.arange(len(z), device=z.device)))
