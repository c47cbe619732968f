"""A Gaussian per class in the space of its principal components: the cheapest honest generator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_float, to_uint8
from synthgen.ranges import Components, Share
from synthgen.samplers.base import FittedSampler
from synthgen.seeds import normal_latents
from synthgen.types import ImageSpec, LabelledImages

RESIDUAL_STREAM = 1  # the residual's noise is independent of the scores' noise
SVD_SEED = 0  # of the randomised solver, which scikit-learn takes for large images


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
        from sklearn.decomposition import PCA  # slow to import, and needed only here
        from threadpoolctl import threadpool_limits

        if len(real) < 2:
            raise SynthgenError(
                f"Class {self.image.classes[label]!r} has {len(real)} training images; "
                "PCA needs at least 2.\nAdd images to it or leave the class out."
            )
        pixels = to_float(real.images).flatten(1).numpy()
        count = min(self.components.shape[1], len(real) - 1)
        with threadpool_limits(1):  # the result doesn't depend on the machine's cores then
            pca = PCA(n_components=count, random_state=SVD_SEED).fit(pixels)
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
            residual = normal_latents(seeds, flat.shape[1], RESIDUAL_STREAM).to(self.device)
            flat += residual.mul_(self.residual_std[labels, None])
        return to_uint8(flat.view(-1, *self.image.shape))
