"""The controls that stand beside every model: copies of real images, noise, and cheap Gaussians."""

from __future__ import annotations

import torch

from synthgen.errors import SynthgenError
from synthgen.samplers.base import FittedSampler
from synthgen.seeds import MAX_PLAN_SEED, row_seeds
from synthgen.types import LabelledImages

CONTROL_IMAGES = 10_000  # at most, in proportion to the synthetic set's classes


def draw_controls(
    train: LabelledImages, labels: torch.Tensor, seed: int
) -> tuple[dict[str, LabelledImages], list[str]]:
    """One set per control with exactly ``labels``, and a sentence for each that can't be drawn."""
    from synthgen.samplers.bootstrap import Bootstrap
    from synthgen.samplers.noise import Noise
    from synthgen.samplers.pca_gaussian import PCAGaussian

    samplers: dict[str, type[FittedSampler]] = {
        "bootstrap": Bootstrap,
        "noise": Noise,
        "pca_gaussian": PCAGaussian,
    }
    seeds = row_seeds(seed % MAX_PLAN_SEED, 0, len(labels))
    drawn, problems = {}, []
    for name, sampler_class in samplers.items():
        sampler = sampler_class(train.image)
        try:
            sampler.fit(train)
        except SynthgenError as error:
            problems.append(f"The control {name} is missing: {str(error).splitlines()[0]}")
            continue
        samples = sampler.sample(labels, seeds)
        drawn[name] = LabelledImages(samples.images, samples.labels, train.classes)
    return drawn, problems
