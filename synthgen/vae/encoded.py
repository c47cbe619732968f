"""The latents of the training images, to which a density is fitted when training ends."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from synthgen.images import to_float
from synthgen.seeds import step_generator
from synthgen.types import LabelledImages

ENCODED = 6  # the stream of their random numbers

Encode = Callable[[Tensor, Tensor, Tensor], Tensor]


@torch.no_grad()
def encoded(
    encode: Encode,
    real: LabelledImages,
    *,
    z_dim: int,
    seed: int,
    device: torch.device,
    batch_size: int = 512,
) -> Tensor:
    """Latents of every image, float32 ``(N, Z)`` on the CPU. ``encode`` sees images in [-1, 1],
    labels and standard normal numbers: latents are drawn as in training, since their spread is part
    of what the decoder has learned to expect."""
    drawn = []
    for start in range(0, len(real), batch_size):
        images = to_float(real.images[start : start + batch_size].to(device))
        labels = real.labels[start : start + batch_size].to(device)
        generator = step_generator(seed, ENCODED, start)
        standard = torch.randn(len(images), z_dim, generator=generator).to(device)
        drawn.append(encode(images, labels, standard).cpu())
    return torch.cat(drawn)
