"""What the densities in a linear latent space share: the space of all classes' components."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_float, to_uint8
from synthgen.samplers.base import FittedSampler
from synthgen.types import ImageSpec, LabelledImages

SVD_SEED = 0  # of the randomised solver, which scikit-learn takes for large images


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
        from sklearn.decomposition import PCA  # slow to import, and needed only here
        from threadpoolctl import threadpool_limits

        for label, count in enumerate(real.counts):
            if count < self.least_images:
                raise SynthgenError(
                    f"Class {self.image.classes[label]!r} has {count} training images; "
                    f"{type(self).__name__} needs at least {self.least_images}.\n"
                    "Add images to it or leave the class out."
                )
        pixels = to_float(real.images).flatten(1).numpy()
        count = min(self.max_components, pixels.shape[1], len(pixels) - 1)
        with threadpool_limits(1):  # the result doesn't depend on the machine's cores then
            pca = PCA(n_components=count, random_state=SVD_SEED)
            latents = torch.from_numpy(pca.fit_transform(pixels)).float()
        self.mean = torch.from_numpy(pca.mean_).float()
        self.components = torch.from_numpy(pca.components_).float().contiguous()
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """float32 ``(N, K)`` -> uint8 ``(N, C, H, W)``."""
        latents = latents.to(self.device)
        flat = self.mean.repeat(len(latents), 1)
        for row in range(len(latents)):
            # One product of the same shape for each image: rows of one large product may be summed
            # in an order that depends on their position. The copy makes the alignment equal too.
            flat[row] += torch.mv(self.components.T, latents[row].clone())
        return to_uint8(flat.view(-1, *self.image.shape))
