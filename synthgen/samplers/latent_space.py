"""Samplers that have a space of latents, and ways through it and between classes."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from synthgen.errors import SynthgenError
from synthgen.samplers.base import Sampler
from synthgen.seeds import normal_latents, truncated

# How far latents may lie from their mean.


@dataclass(frozen=True)
class Spread:
    """Normal numbers in place of standard ones (truncation: Brock et al. 2019, section 3.1; values
    outside keep their quantile here instead of being drawn again)."""

    temperature: float | None = None  # factor on the standard deviation; None: 1
    truncation: float | None = None  # in standard deviations, before the factor; None: no limit

    def __post_init__(self) -> None:
        for name in ("temperature", "truncation"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SynthgenError(f"{name} is {value}, but must be more than 0, or null.")

    def normal(self, seeds: Tensor, size: int) -> Tensor:
        """float32 ``(N, size)``; row ``i`` depends on ``seeds[i]`` alone."""
        z = normal_latents(seeds, size)
        if self.truncation is not None:
            z = truncated(z, self.truncation)
        return z if self.temperature is None else z * self.temperature


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
