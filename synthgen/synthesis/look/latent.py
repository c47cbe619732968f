"""Steps in a latent space: which samplers have one, and what is drawn at its places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_uint8
from synthgen.samplers.base import Sampler
from synthgen.samplers.neural import LatentSampler


def require_latents(sampler: Sampler) -> LatentSampler:
    if not isinstance(sampler, LatentSampler):
        raise SynthgenError(
            f"{type(sampler).__name__} has no latent space to walk in.\n"
            "Give the run of a GAN or a VAE, or look at it with what=contact_sheet."
        )
    return sampler


def class_numbers(sampler: Sampler, names: Sequence[str] | None) -> list[int]:
    """Labels of the named classes, of all for None. Raises SynthgenError for an unknown one,
    and if there is none."""
    classes = sampler.image.classes
    if names is not None and not names:
        raise SynthgenError("what.classes names no class.\nName some, or leave it out for all.")
    for name in names or ():
        if name not in classes:
            raise SynthgenError(
                f"The sampler has no class {name!r}.\nIts classes are "
                f"{', '.join(classes[:20])}{', …' if len(classes) > 20 else ''}."
            )
    return list(range(len(classes))) if names is None else [classes.index(name) for name in names]


def one_hot(sampler: Sampler, labels: Tensor) -> Tensor:
    """int64 ``(N,)`` -> float32 ``(N, classes)`` on the sampler's device."""
    weights = torch.zeros(len(labels), sampler.image.num_classes)
    weights[torch.arange(len(labels)), labels] = 1
    return weights.to(sampler.device)


@torch.inference_mode()
def images_at(sampler: LatentSampler, z: Tensor, class_weights: Tensor) -> Tensor:
    """float32 ``(N, Z)`` and ``(N, classes)`` -> uint8 ``(N, C, H, W)`` on the CPU."""
    parts = zip(z.split(sampler.chunk), class_weights.split(sampler.chunk), strict=True)
    return torch.cat([to_uint8(sampler.decode(*part)).cpu() for part in parts])


def ways(sampler: LatentSampler, starts: Tensor, ends: Tensor, shares: Tensor) -> Tensor:
    """``(N, Z)`` to ``(N, Z)`` by the shares ``(S,)`` -> ``(N * S, Z)``, way after way."""
    steps = len(shares)
    return sampler.between(
        starts.repeat_interleave(steps, 0),
        ends.repeat_interleave(steps, 0),
        shares.to(starts).repeat(len(starts)),
    )


def whole(value: int, name: str, *, least: int, most: int = 1000) -> int:
    if not least <= value <= most:
        raise SynthgenError(f"{name} is {value}, but must be from {least} to {most}.")
    return value
