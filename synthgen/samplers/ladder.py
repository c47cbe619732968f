"""The sampler of a hierarchical VAE: the numbers of all levels at once."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.images import to_uint8
from synthgen.networks.ladder import LadderDecoder
from synthgen.samplers.latent_space import of_mixed_classes
from synthgen.samplers.neural import (
    GeneratorSampler,
    LatentDensity,
    Likelihood,
    drawn,
    require_spreadable,
)


class LadderSampler(GeneratorSampler):
    """Draws every level from its prior given the levels above (Sønderby et al. 2016, section 2);
    the image is the likelihood's mean. A latent is the numbers of all levels, standard normal
    under the prior, which temperature and truncation act on alike.

    Args:
        density: of the coarsest level's numbers; None = their prior, N(0, I).
    """

    def __init__(
        self,
        generator: LadderDecoder,
        likelihood: Likelihood,
        density: LatentDensity | None = None,
    ) -> None:
        super().__init__(generator)
        self.top_dim, self.likelihood, self.density = generator.top_dim, likelihood, density

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        outputs = self.generator(self.latents(labels, seeds), labels.to(self.device))
        return to_uint8(self.likelihood.mean(outputs))

    def set_latents(self, *, temperature: float | None, truncation: float | None) -> None:
        if self.density is not None:
            require_spreadable(self.density)
        super().set_latents(temperature=temperature, truncation=truncation)

    def latents(self, labels: Tensor, seeds: Tensor) -> Tensor:
        standard = super().latents(labels, seeds)
        if self.density is None:
            return standard
        labels = labels.to(self.device)
        top = drawn(self.density, self.spread, labels, seeds, self.top_dim)
        return torch.cat([top, standard[:, self.top_dim :]], dim=1)

    def decode(self, z: Tensor, class_weights: Tensor) -> Tensor:
        return self.likelihood.mean(of_mixed_classes(self.generator, z, class_weights))
