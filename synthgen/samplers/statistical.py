"""Densities in a linear latent space: the cheapest honest generators."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_float, to_levels
from synthgen.ranges import Components, Count, Mixture, NonNegative, Seed, Share
from synthgen.samplers.base import FittedSampler, one_of_class, sorted_by_class
from synthgen.seeds import Stream, image_rng, normal_latents
from synthgen.types import ImageSpec, LabelledImages

# What the densities in a linear latent space share: the space of all classes' components.

SVD_SEED = 0  # of the randomised solver, which scikit-learn takes for large images


def principal_components(points: np.ndarray, count: int, seed: int) -> tuple[Any, np.ndarray]:
    """float ``(N, D)`` -> scikit-learn's PCA of ``count`` components, fitted, and the scores of the
    points ``(N, count)``; the same on any number of cores."""
    from sklearn.decomposition import PCA  # slow to import, and needed only here
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        pca = PCA(n_components=count, random_state=seed)
        return pca, pca.fit_transform(points)


class PrincipalSpace(FittedSampler):
    """A sampler that draws latents: scores on the principal components of all training images.

    Subclasses register their own buffers and call :meth:`fit_space` and :meth:`decode`.

    Args:
        components: at most this many; fewer where there are fewer images or pixels.
    """

    least_images = 2  # of each class

    def __init__(self, image: ImageSpec, components: int) -> None:
        super().__init__(image)
        if components < 1:
            raise SynthgenError(
                f"components must be at least 1, got {components}.\nTry components=64."
            )
        self.max_components = components
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("components", torch.empty(0))

    mean: Tensor  # (pixels,), float32 in [-1, 1]
    components: Tensor  # (K, pixels), orthonormal rows

    def fit_space(self, real: LabelledImages) -> Tensor:
        """Find the components (scikit-learn) and return the latents, float32 ``(N, K)``."""
        for label, count in enumerate(real.counts):
            if count < self.least_images:
                raise SynthgenError(
                    f"Class {self.image.classes[label]!r} has {count} training images; "
                    f"{type(self).__name__} needs at least {self.least_images}.\n"
                    "Add images to it or leave the class out."
                )
        pixels = to_float(real.images).flatten(1).numpy()
        count = min(self.max_components, pixels.shape[1], len(pixels) - 1)
        pca, latents = principal_components(pixels, count, SVD_SEED)
        self.mean = torch.from_numpy(pca.mean_).float()
        self.components = torch.from_numpy(pca.components_).float().contiguous()
        return torch.from_numpy(latents).float()

    def decode(self, latents: Tensor) -> Tensor:
        """float32 ``(N, K)`` -> uint8 ``(N, C, H, W)``."""
        latents = latents.to(self.device)
        flat = self.mean.repeat(len(latents), 1)
        for row in range(len(latents)):
            # One product of the same shape for each image: rows of one large product may be summed
            # in an order that depends on their position. The copy makes the alignment equal too.
            flat[row] += torch.mv(self.components.T, latents[row].clone())
        return to_levels(flat.view(-1, *self.image.shape), self.image.bits)


# A Gaussian per class in the space of its principal components: the cheapest honest generator.


class PCAGaussian(FittedSampler):
    """Probabilistic PCA of each class (Tipping & Bishop 1999, eq. 2), fitted by scikit-learn.

    An image is ``mean + scores @ components + residual``, where score ``k`` has the variance of the
    class along component ``k``.

    Args:
        components: at most this many per class; fewer where a class has fewer images or pixels.
        residual_noise: 0 leaves the discarded directions at their mean, 1 adds isotropic noise of
            their average variance (the full model of the paper), in between scales its deviation.
    """

    def __init__(
        self, image: ImageSpec, components: Components = 64, residual_noise: Share = 0.0
    ) -> None:
        super().__init__(image)
        if components < 1:
            raise SynthgenError(
                f"components must be at least 1, got {components}.\nTry components=64."
            )
        if not 0.0 <= residual_noise <= 1.0:
            raise SynthgenError(
                f"residual_noise must be between 0 and 1, got {residual_noise}.\n"
                "Use 0 for smooth images, 1 for probabilistic PCA."
            )
        self.max_components = components
        self.residual_noise = residual_noise
        for name in ("mean", "components", "score_std", "residual_std"):
            self.register_buffer(name, torch.empty(0))

    mean: Tensor  # (classes, pixels), float32 in [-1, 1] like everything below
    components: Tensor  # (classes, K, pixels), orthonormal rows, zero where a class has fewer
    score_std: Tensor  # (classes, K)
    residual_std: Tensor  # (classes,)

    def fit(self, real: LabelledImages) -> None:
        classes, pixels = self.image.num_classes, real.images[0].numel()
        count = min(self.max_components, pixels, max(real.counts) - 1)
        self.mean = torch.zeros(classes, pixels)
        self.components = torch.zeros(classes, count, pixels)
        self.score_std = torch.zeros(classes, count)
        self.residual_std = torch.zeros(classes)
        for label in range(classes):
            self._fit_class(label, real.of_class(label))

    def _fit_class(self, label: int, real: LabelledImages) -> None:
        if len(real) < 2:
            raise SynthgenError(
                f"Class {self.image.classes[label]!r} has {len(real)} training images; "
                "PCA needs at least 2.\nAdd images to it or leave the class out."
            )
        pixels = to_float(real.images).flatten(1).numpy()
        count = min(self.components.shape[1], len(real) - 1)
        pca, _ = principal_components(pixels, count, SVD_SEED)
        # Over all directions that are left (eq. 8). scikit-learn's noise_variance_ is over those
        # that the images span, which are far fewer where a class is small.
        total = pixels.var(axis=0, ddof=1, dtype=np.float64).sum()
        left = float(total - pca.explained_variance_.sum())
        noise = self.residual_noise**2 * max(left, 0.0) / max(1, pixels.shape[1] - count)
        variance = torch.from_numpy(pca.explained_variance_).float()
        self.mean[label] = torch.from_numpy(pca.mean_)
        self.components[label, :count] = torch.from_numpy(pca.components_)
        # The residual has variance along the components too: W W^T = U (L - s^2 I) U^T, eq. 7.
        self.score_std[label, :count] = (variance - noise).clamp(min=0).sqrt()
        self.residual_std[label] = noise**0.5

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        scores = normal_latents(seeds, self.components.shape[1]).to(self.device)
        scores *= self.score_std[labels]
        flat = self.mean[labels]  # (chunk, pixels)
        for row, label in enumerate(labels.tolist()):
            # One product of the same shape for each image: rows of one large product may be summed
            # in an order that depends on their position. The copy makes the alignment equal too.
            flat[row] += torch.mv(self.components[label].T, scores[row].clone())
        if self.residual_noise > 0:
            residual = normal_latents(seeds, flat.shape[1], Stream.RESIDUAL).to(self.device)
            flat += residual.mul_(self.residual_std[labels, None])
        return to_levels(flat.view(-1, *self.image.shape), self.image.bits)


# A mixture of Gaussians per class in the space of the principal components.

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
            mixture = estimate_mixture(mine, count, self.seed, floor)
            for buffer, found in zip(
                (self.weights, self.means, self.factors), mixture, strict=True
            ):
                buffer[label, :count] = found

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        standard = normal_latents(seeds, self.means.shape[-1]).to(self.device)
        latents = torch.empty_like(standard)
        for row, (label, seed) in enumerate(zip(labels.tolist(), seeds.tolist(), strict=True)):
            edges = self.weights[label].double().cumsum(0)
            uniform = image_rng(seed, Stream.COMPONENT).random() * float(edges[-1])
            chosen = min(int((edges <= uniform).sum()), int((self.weights[label] > 0).sum()) - 1)
            offset = torch.mv(self.factors[label, chosen], standard[row].clone())
            latents[row] = self.means[label, chosen] + offset
        return self.decode(latents)


def estimate_mixture(
    points: np.ndarray, count: int, seed: int, floor: float
) -> tuple[Tensor, Tensor, Tensor]:
    """float64 ``(N, K)`` -> weights ``(count,)``, means ``(count, K)``, and lower Cholesky factors
    ``(count, K, K)`` of the covariances with ``floor`` added to their diagonals. By EM; one
    Gaussian alone gets a shrunk covariance (Ledoit & Wolf 2004), which fills every direction
    however few the points."""
    from sklearn import mixture
    from sklearn.covariance import LedoitWolf
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():  # the same on any number of cores
        warnings.simplefilter("ignore", ConvergenceWarning)  # 50 steps are enough to draw from
        if count == 1:
            covariance = LedoitWolf().fit(points).covariance_ + floor * np.eye(points.shape[1])
            found = np.ones(1), points.mean(axis=0)[None], covariance[None]
        else:
            fitted = mixture.GaussianMixture(
                count, reg_covar=floor, random_state=seed, max_iter=50, tol=1e-2
            ).fit(points)
            found = fitted.weights_, fitted.means_, fitted.covariances_
    weights, means, covariances = map(torch.from_numpy, found)
    return weights, means, torch.linalg.cholesky(covariances)


# A Gaussian kernel around every training image, in the space of the principal components.

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
        self.latents, self.first = sorted_by_class(self.fit_space(real), real)
        self.bandwidths = torch.empty(self.image.num_classes)
        for label in range(self.image.num_classes):
            mine = self.latents[self.first[label] : self.first[label + 1]].double().numpy()
            spread = max(float(np.sqrt(mine.var(axis=0).mean())), SMALLEST_SPREAD)
            chosen = self.bandwidth
            if chosen is None:
                chosen = leave_one_out_bandwidth((mine - mine.mean(axis=0)) / spread)
            self.bandwidths[label] = chosen * spread

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        noise = normal_latents(seeds, self.latents.shape[1]).to(self.device)
        chosen = self.latents[one_of_class(self.first, labels, seeds, Stream.PARTNER)]
        return self.decode(chosen + self.bandwidths[labels, None] * noise)


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


# Points between a training image and one of its neighbours, in a linear latent space.


class Interpolation(PrincipalSpace):
    """SMOTE (Chawla et al. 2002, section 4.2) on principal components instead of raw features.

    A draw lies uniformly on the line from a training image to one of its ``neighbours`` nearest
    of the same class. Where it lies close to an end it shows that image, up to what the components
    leave out, so it counts as exposing real images; the artifact holds them all.

    Args:
        neighbours: of how many nearest the other end is one.
        components: dimensions of the latent space.
    """

    exposes_real: ClassVar[bool] = True

    def __init__(
        self, image: ImageSpec, neighbours: Components = 5, components: Components = 128
    ) -> None:
        super().__init__(image, components)
        if neighbours < 1:
            raise SynthgenError(f"neighbours must be at least 1, got {neighbours}.\nTry 5.")
        self.max_neighbours = neighbours
        for name in ("latents", "first", "neighbours"):
            self.register_buffer(name, torch.empty(0))

    latents: Tensor  # (N, K), sorted by class
    first: Tensor  # int64 (classes + 1,): class i is latents[first[i]:first[i + 1]]
    neighbours: Tensor  # int32 (N, neighbours), positions in latents; -1 where a class has fewer

    def fit(self, real: LabelledImages) -> None:
        from sklearn.neighbors import NearestNeighbors
        from threadpoolctl import threadpool_limits

        self.latents, self.first = sorted_by_class(self.fit_space(real), real)
        self.neighbours = torch.full((len(real), self.max_neighbours), -1, dtype=torch.int32)
        for label, count in enumerate(real.counts):
            start = int(self.first[label])
            mine = self.latents[start : start + count].numpy()
            wanted = min(self.max_neighbours, count - 1)
            with threadpool_limits(1):  # the result doesn't depend on the machine's cores then
                search = NearestNeighbors(n_neighbors=wanted, algorithm="brute").fit(mine)
                index = search.kneighbors(return_distance=False)  # of others than the point itself
            self.neighbours[start : start + count, :wanted] = torch.from_numpy(index + start)

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        latents = torch.empty(len(labels), self.latents.shape[1], device=self.device)
        first = self.first.tolist()
        for row, (label, seed) in enumerate(zip(labels.tolist(), seeds.tolist(), strict=True)):
            random = image_rng(seed)
            here = int(random.integers(first[label], first[label + 1]))
            known = int((self.neighbours[here] >= 0).sum())
            there = int(self.neighbours[here, int(random.integers(known))])
            share = float(random.random())
            latents[row] = self.latents[here] + share * (self.latents[there] - self.latents[here])
        return self.decode(latents)
