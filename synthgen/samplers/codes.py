"""The sampler of a VQ-VAE: codes drawn one position after another, then decoded."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_uint8
from synthgen.networks.code_transformer import CodeTransformer
from synthgen.networks.codebook import Codebook
from synthgen.networks.vq import VQDecoder
from synthgen.samplers.base import Sampler
from synthgen.samplers.spread import Spread
from synthgen.seeds import image_rng


class CodeSampler(Sampler):
    """Ancestral sampling from a prior over codes (van den Oord et al. 2017, section 3.3)."""

    temperature = 1.0

    def __init__(self, decoder: VQDecoder, codebook: Codebook, prior: CodeTransformer) -> None:
        super().__init__(decoder.image)
        self.decoder, self.codebook, self.prior = decoder, codebook, prior

    def set_latents(self, *, temperature: float | None, truncation: float | None) -> None:
        """``temperature`` divides the prior's logits. Codes have no standard deviation, so there is
        nothing to truncate."""
        if truncation is not None:
            raise SynthgenError(
                "The latents of a VQ-VAE are codes, so truncation means nothing to it.\n"
                "Set temperature below 1 instead."
            )
        self.temperature = Spread(temperature).temperature or 1.0

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        codes = self.draw_codes(labels, seeds)
        return to_uint8(self.decoder(self.codebook.lookup(codes)))

    def draw_codes(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """int64 ``(N,)`` both -> int64 ``(N, *grid)``; each image has its own random numbers."""
        codes = draw_codes(self.prior, labels, seeds, self.temperature)
        return codes.view(-1, *self.decoder.grid)


def draw_codes(
    prior: CodeTransformer, labels: Tensor, seeds: Tensor, temperature: float = 1.0
) -> Tensor:
    """int64 ``(N,)`` both -> int64 codes ``(N, T)``; each image has its own random numbers."""
    device = prior.places.device
    drawn = np.stack([image_rng(int(seed)).random(prior.positions) for seed in seeds])
    uniform = torch.from_numpy(drawn).float().to(device)
    labels, caches = labels.to(device), prior.empty_caches(len(labels))
    codes: list[Tensor] = []
    for position in range(prior.positions):
        before = codes[-1] if codes else None
        logits = prior.advance(before, labels, position, caches)
        edges = (logits / temperature).softmax(1).cumsum(1)
        reached = uniform[:, position : position + 1] * edges[:, -1:]
        codes.append((edges <= reached).sum(1).clamp_max(prior.num_codes - 1))
    return torch.stack(codes, dim=1)
