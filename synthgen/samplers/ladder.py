"""The sampler of a hierarchical VAE: standard normal numbers for all levels at once."""

from __future__ import annotations

from torch import Tensor

from synthgen.images import to_uint8
from synthgen.networks.ladder import LadderDecoder
from synthgen.samplers.latent_space import of_mixed_classes
from synthgen.samplers.neural import GeneratorSampler, Likelihood


class LadderSampler(GeneratorSampler):
    """Draws every level from its prior given the levels above (Sønderby et al. 2016, section 2);
    the image is the likelihood's mean. A latent is the standard normal numbers of all levels, which
    temperature and truncation act on alike."""

    def __init__(self, generator: LadderDecoder, likelihood: Likelihood) -> None:
        super().__init__(generator)
        self.likelihood = likelihood

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        outputs = self.generator(self.latents(labels, seeds), labels.to(self.device))
        return to_uint8(self.likelihood.mean(outputs))

    def decode(self, z: Tensor, class_weights: Tensor) -> Tensor:
        return self.likelihood.mean(of_mixed_classes(self.generator, z, class_weights))
