"""A mixture of Gaussians per class in the space of the principal components."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.ranges import Components, Count, Mixture, Seed
from synthgen.samplers.principal import PrincipalSpace
from synthgen.seeds import image_rng, normal_latents
from synthgen.types import ImageSpec, LabelledImages

COMPONENT_STREAM = 1  # picks the mixture component; stream 0 draws the normal numbers
RELATIVE_FLOOR = 1e-3  # added to each covariance's diagonal, times the mean variance of the class


class GaussianMixture(PrincipalSpace):
    """Full covariances, fitted by expectation maximisation (scikit-learn). A class too small for
    two Gaussians gets one with a shrunk covariance (Ledoit & Wolf 2004).

    Args:
        gaussians: at most this many per class.
        min_images: a class gets one Gaussian for so many images, and at least one.
        components: dimensions of the latent space.
        seed: of the start of the fit.
    """

    def __init__(
        self,
        image: ImageSpec,
        gaussians: Mixture = 10,
        min_images: Count = 200,
        components: Components = 64,
        seed: Seed = 0,
    ) -> None:
        super().__init__(image, components)
        if gaussians < 1 or min_images < 1:
            raise SynthgenError(
                f"gaussians and min_images must be at least 1, got {gaussians} and {min_images}."
            )
        self.gaussians, self.min_images, self.seed = gaussians, min_images, seed
        for name in ("weights", "means", "factors"):
            self.register_buffer(name, torch.empty(0))

    weights: Tensor  # (classes, M), 0 where a class has fewer
    means: Tensor  # (classes, M, K)
    factors: Tensor  # (classes, M, K, K), lower Cholesky factors of the covariances

    def fit(self, real: LabelledImages) -> None:
        latents = self.fit_space(real).double().numpy()
        shape = (self.image.num_classes, self.gaussians)
        dimensions = latents.shape[1]
        self.weights = torch.zeros(*shape)
        self.means = torch.zeros(*shape, dimensions)
        self.factors = torch.zeros(*shape, dimensions, dimensions)
        for label in range(self.image.num_classes):
            mine = latents[(real.labels == label).numpy()]
            count = max(1, min(self.gaussians, len(mine) // self.min_images))
            floor = RELATIVE_FLOOR * float(mine.var(axis=0).mean()) + 1e-9
            weights, means, covariances = estimate_mixture(mine, count, self.seed, floor)
            self.weights[label, :count] = torch.from_numpy(weights)
            self.means[label, :count] = torch.from_numpy(means)
            self.factors[label, :count] = torch.linalg.cholesky(torch.from_numpy(covariances))

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        standard = normal_latents(seeds, self.means.shape[-1]).to(self.device)
        latents = torch.empty_like(standard)
        for row, (label, seed) in enumerate(zip(labels.tolist(), seeds.tolist(), strict=True)):
            edges = self.weights[label].double().cumsum(0)
            uniform = image_rng(seed, COMPONENT_STREAM).random() * float(edges[-1])
            chosen = min(int((edges <= uniform).sum()), int((self.weights[label] > 0).sum()) - 1)
            offset = torch.mv(self.factors[label, chosen], standard[row].clone())
            latents[row] = self.means[label, chosen] + offset
        return self.decode(latents)


def estimate_mixture(
    points: np.ndarray, count: int, seed: int, floor: float
) -> tuple[np.ndarray, ...]:
    """float64 ``(N, K)`` -> weights ``(count,)``, means ``(count, K)``, covariances
    ``(count, K, K)`` with ``floor`` added to their diagonals. By EM; one Gaussian alone gets a
    shrunk covariance (Ledoit & Wolf 2004), which fills every direction however few the points."""
    from sklearn import mixture
    from sklearn.covariance import LedoitWolf
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():  # the same on any number of cores
        warnings.simplefilter("ignore", ConvergenceWarning)  # 50 steps are enough to draw from
        if count == 1:
            covariance = LedoitWolf().fit(points).covariance_ + floor * np.eye(points.shape[1])
            return np.ones(1), points.mean(axis=0)[None], covariance[None]
        fitted = mixture.GaussianMixture(
            count, reg_covar=floor, random_state=seed, max_iter=50, tol=1e-2
        ).fit(points)
    return fitted.weights_, fitted.means_, fitted.covariances_
