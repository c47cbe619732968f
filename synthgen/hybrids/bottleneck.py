"""What lies between the encoder and the decoder of an autoencoder, and how its latents are
distributed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.networks.vq import Codebook, CodeTransformer
from synthgen.ranges import Count, Decay, Mixture, NonNegative, Size
from synthgen.samplers.neural import LatentDensity, draw_codes
from synthgen.seeds import Stream, normal_latents
from synthgen.serialization import Rebuildable
from synthgen.training.schedules import Weight
from synthgen.vae.densities import GaussianMixtureDensity


@dataclass(frozen=True)
class Encoded:
    """What the encoder says of a batch."""

    mean: Tensor  # float32 (N, Z)
    logvar: Tensor
    labels: Tensor  # int64 (N,)
    standard: Tensor  # float32 (N, Z) from N(0, I)
    progress: float  # of the run


@dataclass(frozen=True)
class Passed:
    """What came through."""

    latents: Tensor  # float32 (N, Z)
    price: Tensor  # float32 (N,), nats per image as they enter the loss
    parts: dict[str, Tensor]  # scalars for the log, detached


class Bottleneck(nn.Module, ABC):
    """A restriction of latents and its price; called with (number of classes, shape of the grid of
    latents) before what a config says."""

    @abstractmethod
    def forward(self, encoded: Encoded) -> Passed: ...

    def own_density(self) -> LatentDensity | None:
        """What latents are drawn from after training; None where a density must be fitted."""
        return None

    def observe(self, encoded: Encoded, random: torch.Generator) -> None:
        """Called once per training step, for what doesn't learn by gradient."""


class KLBottleneck(Bottleneck):
    """A Gaussian of which the divergence from N(0, I) costs next to nothing (Rombach et al. 2022,
    section 3.1 and app. G): it keeps latents near the origin and the space between them filled."""

    def __init__(self, num_classes: int, grid: tuple[int, int, int], weight: Weight) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, encoded: Encoded) -> Passed:
        mean = encoded.mean
        logvar = encoded.logvar.clamp(-30, 20)  # so light a weight doesn't stop it running away
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(dim=1)
        latents = mean + encoded.standard * (0.5 * logvar).exp()
        return Passed(latents, self.weight(encoded.progress) * kl, {"kl": kl.mean().detach()})


class CodeDensity(nn.Module, Rebuildable):
    """Latents of codes that are drawn one after another (van den Oord et al. 2017, section 3.3)."""

    def __init__(self, codebook: Codebook, prior: CodeTransformer, grid: list[int]) -> None:
        super().__init__()
        self.codebook, self.prior, self.grid = codebook, prior, grid

    def sample(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """int64 ``(N,)`` labels and seeds -> float32 ``(N, Z)``."""
        codes = draw_codes(self.prior, labels, seeds)
        return self.codebook.lookup(codes.view(len(codes), *self.grid)).flatten(1)


class VQBottleneck(Bottleneck):
    """The nearest of a few vectors at each position (van den Oord et al. 2017, eq. 3; with an
    adversary: Esser et al. 2021). A prior over the codes learns beside the autoencoder, from codes
    that pass no gradient on, so that it is ready when the run ends.

    Args:
        num_classes: classes that the prior knows.
        grid: (length of a vector, height, width).
        prior: called with (number of classes, number of codes, codes per image).
        num_codes: vectors to choose from.
        commitment: weight of the squared distance of the encoder's vectors from their codes.
        keep: share of a code's moving average that a step leaves as it was.
    """

    def __init__(
        self,
        num_classes: int,
        grid: tuple[int, int, int],
        prior: Callable[[int, int, int], CodeTransformer],
        num_codes: Size = 256,
        commitment: NonNegative = 0.25,
        keep: Decay = 0.99,
    ) -> None:
        super().__init__()
        self.shape, self.commitment, self.keep = tuple(grid), commitment, keep
        codebook = Codebook(num_codes, grid[0])
        positions = list(grid[1:])
        self.codes = CodeDensity(
            codebook, prior(num_classes, num_codes, math.prod(positions)), positions
        )

    def forward(self, encoded: Encoded) -> Passed:
        vectors = encoded.mean.view(-1, *self.shape)
        quantised, codes = self.codes.codebook.quantize(vectors)
        distance = (vectors - quantised.detach()).square().sum(dim=(1, 2, 3))
        logits = self.codes.prior(codes.flatten(1), encoded.labels)
        nats = F.cross_entropy(logits.transpose(1, 2), codes.flatten(1), reduction="none").sum(1)
        parts = {
            "commitment": distance.mean().detach(),
            "bits_per_code": nats.mean().detach() / (codes[0].numel() * math.log(2)),
        }
        return Passed(quantised.flatten(1), self.commitment * distance + nats, parts)

    def own_density(self) -> LatentDensity:
        return self.codes

    @torch.no_grad()
    def observe(self, encoded: Encoded, random: torch.Generator) -> None:
        vectors = encoded.mean.detach().float().view(-1, *self.shape)
        codebook = self.codes.codebook
        codebook.update(vectors, codebook.quantize(vectors)[1], self.keep, random)


# Densities over the many latents of a grid.


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
        standard = normal_latents(seeds, len(self.centre), Stream.REST).to(self.centre.device)
        rest = self.rest_means[labels] + self.rest_sigmas[labels] * standard
        return self.centre + inside + rest
