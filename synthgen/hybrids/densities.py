"""Densities over the many latents of a grid."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthgen.ranges import Count, Mixture, Size
from synthgen.seeds import normal_latents
from synthgen.spec import Rebuildable
from synthgen.vae.densities import GaussianMixtureDensity

REST = 2  # the stream of numbers for what the principal components leave over


class PrincipalMixture(nn.Module, Rebuildable):
    """A Gaussian mixture for each class over the principal components of the latents, and
    independent Gaussians over what these leave over, so that nothing is narrower than it was
    (Tipping & Bishop 1999, section 3, with a variance for each latent).

    Args:
        rank: principal components of the latents within classes, common to all of them.
        components: mixture components per class at most; see GaussianMixtureDensity.
        min_images: images per mixture component.
    """

    centre: Tensor
    basis: Tensor
    rest_means: Tensor
    rest_sigmas: Tensor

    def __init__(
        self,
        num_classes: int,
        z_dim: int,
        rank: Size = 64,
        components: Mixture = 10,
        min_images: Count = 200,
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        rank = min(rank, z_dim)
        self.mixture = GaussianMixtureDensity(num_classes, rank, components, min_images)
        self.register_buffer("centre", torch.zeros(z_dim))
        self.register_buffer("basis", torch.zeros(z_dim, rank))
        self.register_buffer("rest_means", torch.zeros(num_classes, z_dim))
        self.register_buffer("rest_sigmas", torch.zeros(num_classes, z_dim))

    def fit(self, latents: Tensor, labels: Tensor, seed: int, groups: Tensor | None = None) -> None:
        """Estimate from float32 ``(N, Z)`` latents of the training images."""
        values, labels = latents.double().cpu(), labels.cpu()
        members = [labels == label for label in range(len(self.rest_means))]
        centre = values.mean(dim=0)
        # Components within classes: what classes differ in is left to each class's own means.
        within = torch.cat([values[mine] - values[mine].mean(dim=0) for mine in members])
        basis = torch.linalg.eigh(within.T @ within).eigenvectors.flip(1)[:, : self.basis.shape[1]]
        coordinates = (values - centre) @ basis
        left = values - centre - coordinates @ basis.T
        self.centre.copy_(centre)
        self.basis.copy_(basis)
        for label, mine in enumerate(members):
            self.rest_means[label] = left[mine].mean(dim=0)
            self.rest_sigmas[label] = left[mine].std(dim=0, correction=0)
        self.mixture.fit(coordinates.float(), labels, seed)

    def sample(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """int64 ``(N,)`` labels and seeds -> float32 ``(N, Z)``."""
        coordinates = self.mixture.sample(labels, seeds)
        # A sum over a product, not a matmul: each row's arithmetic stays its own.
        inside = (coordinates[:, None, :] * self.basis).sum(dim=2)
        standard = normal_latents(seeds, len(self.centre), REST).to(self.centre.device)
        rest = self.rest_means[labels] + self.rest_sigmas[labels] * standard
        return self.centre + inside + rest
