"""A mixture of Gaussians per class, estimated from latents by scikit-learn."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.ranges import Count, Mixture, Positive
from synthgen.samplers.statistical import estimate_mixture
from synthgen.seeds import Stream, image_rng
from synthgen.vae.base import Placed

BELOW_ONE = 1 - 2.0**-24  # float32's next


class GaussianMixtureDensity(Placed):
    """A Gaussian mixture with full covariances for each class (Ghosh et al. 2020, section 4).

    Args:
        components: mixture components per class at most; a class gets one per ``min_images``
            images, and at least one.
        regularization: added to the diagonal of the covariances.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(
        self,
        num_classes: int,
        z_dim: int,
        components: Mixture = 10,
        min_images: Count = 100,
        regularization: Positive = 1e-4,
    ) -> None:
        super().__init__()
        self.components, self.min_images = components, min_images
        self.z_dim, self.regularization = z_dim, regularization
        shape = (num_classes, components)
        self.register_buffer("weights", torch.zeros(*shape))
        self.register_buffer("means", torch.zeros(*shape, z_dim))
        self.register_buffer("factors", torch.zeros(*shape, z_dim, z_dim))

    def fit(self, latents: Tensor, labels: Tensor, seed: int, groups: Tensor | None = None) -> None:
        """Estimate from float32 ``(N, Z)`` latents of the training images (scikit-learn)."""
        for label in range(len(self.weights)):
            mine = latents[labels == label].double().cpu().numpy()
            if len(mine) == 0:
                raise SynthgenError(
                    f"Class {label} has no training images to fit its latents to.\n"
                    "Add images to it or leave the class out."
                )
            count = max(1, min(self.components, len(mine) // self.min_images))
            mixture = estimate_mixture(mine, count, seed, self.regularization)
            self.weights[label].zero_()
            for buffer, found in zip(
                (self.weights, self.means, self.factors), mixture, strict=True
            ):
                buffer[label, :count] = found

    def log_prob(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, Z)``, int64 ``(N,)`` -> nats ``(N,)``."""
        found = torch.empty(len(z), device=z.device)
        for label in labels.unique():
            rows, used = labels == label, self.weights[label] > 0
            components = torch.distributions.MultivariateNormal(
                self.means[label, used], scale_tril=self.factors[label, used]
            )
            each = components.log_prob(z[rows, None, :])
            found[rows] = (each + self.weights[label, used].log()).logsumexp(dim=1)
        return found

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        uniform = torch.tensor([image_rng(int(seed), Stream.COMPONENT).random() for seed in seeds])
        uniform = uniform.clamp_max(BELOW_ONE)  # 1 would choose a component without weight
        device = self.means.device
        edges = self.weights[labels].cumsum(dim=1)
        edges = edges / edges[:, -1:]
        chosen = torch.searchsorted(edges, uniform.to(device, edges.dtype)[:, None], right=True)
        chosen = chosen.squeeze(1).clamp_max(self.components - 1)
        # A sum over a product, not a batched matmul: each row's arithmetic stays its own.
        offset = (self.factors[labels, chosen] * standard[:, None, :]).sum(dim=2)
        return self.means[labels, chosen] + offset
