"""A Gaussian kernel around every training image, in the space of the principal components."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.ranges import Components, NonNegative
from synthgen.samplers.principal import PrincipalSpace
from synthgen.seeds import image_rng, normal_latents
from synthgen.types import ImageSpec, LabelledImages

CHOICE_STREAM = 1  # picks the training image; stream 0 draws the normal numbers
LARGEST_TRIAL = 2000  # images of a class that the bandwidth is chosen on
CANDIDATES = np.geomspace(0.03, 1.2, 16)  # in units of the class's standard deviation
SMALLEST_SPREAD = 1e-6  # of a class of equal images


class KernelDensity(PrincipalSpace):
    """Kernel density estimation per class (Rosenblatt 1956, Parzen 1962).

    The kernel is round, so what is far apart stays apart. Every draw is one training image,
    smoothed by the components and moved: the artifact holds them all, and with a small bandwidth a
    draw shows one of them. It counts as exposing real images.

    Args:
        bandwidth: the kernel's standard deviation in units of the class's own (the root of its mean
            variance over the components), at least 0. None chooses it per class by the leave-one-
            out likelihood (Habbema et al. 1974) on at most 2,000 images, carried over to the full
            number by Scott's rate ``n ** (-1 / (d + 4))``.
        components: dimensions of the latent space.
    """

    exposes_real: ClassVar[bool] = True
    least_images = 3

    def __init__(
        self, image: ImageSpec, bandwidth: NonNegative | None = None, components: Components = 64
    ) -> None:
        super().__init__(image, components)
        if bandwidth is not None and bandwidth < 0:
            raise SynthgenError(
                f"bandwidth must be at least 0, got {bandwidth}.\nLeave it out to have it chosen."
            )
        self.bandwidth = bandwidth
        for name in ("latents", "first", "bandwidths"):
            self.register_buffer(name, torch.empty(0))

    latents: Tensor  # (N, K), sorted by class
    first: Tensor  # int64 (classes + 1,): class i is latents[first[i]:first[i + 1]]
    bandwidths: Tensor  # (classes,), the kernels' standard deviations

    def fit(self, real: LabelledImages) -> None:
        latents = self.fit_space(real)
        self.latents = latents[real.labels.argsort(stable=True)]
        self.first = torch.tensor([0, *real.counts]).cumsum(0)
        self.bandwidths = torch.empty(self.image.num_classes)
        for label in range(self.image.num_classes):
            mine = self.latents[self.first[label] : self.first[label + 1]].double().numpy()
            spread = max(float(np.sqrt(mine.var(axis=0).mean())), SMALLEST_SPREAD)
            chosen = self.bandwidth
            if chosen is None:
                chosen = leave_one_out_bandwidth((mine - mine.mean(axis=0)) / spread)
            self.bandwidths[label] = chosen * spread

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        latents = normal_latents(seeds, self.latents.shape[1]).to(self.device)
        first = self.first.tolist()
        for row, (label, seed) in enumerate(zip(labels.tolist(), seeds.tolist(), strict=True)):
            index = int(image_rng(seed, CHOICE_STREAM).integers(first[label], first[label + 1]))
            latents[row] = self.latents[index] + self.bandwidths[label] * latents[row]
        return self.decode(latents)


def leave_one_out_bandwidth(points: np.ndarray) -> float:
    """The bandwidth among the candidates that makes each of the float64 ``(N, K)`` points likeliest
    under the kernels of the others."""
    from scipy.special import logsumexp

    total, dimensions = points.shape
    trial = points[:: -(-total // LARGEST_TRIAL)]
    norms = np.square(trial).sum(axis=1)
    squared = np.maximum(norms[:, None] + norms[None, :] - 2 * trial @ trial.T, 0)
    np.fill_diagonal(squared, np.inf)
    likelihood = [
        float(logsumexp(-squared / (2 * h * h), axis=1).mean()) - dimensions * np.log(h)
        for h in CANDIDATES
    ]
    best = float(CANDIDATES[int(np.argmax(likelihood))])
    return best * (total / len(trial)) ** (-1 / (dimensions + 4))
