"""Auxiliary classifiers on the discriminator's features."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.processes import Processes
from synthgen.ranges import NonNegative, Positive, PositiveShare, Size

# What an auxiliary classifier on the discriminator's features is.


class AuxiliaryClassifier(nn.Module, ABC):
    """A classifier that shares the discriminator's features and is trained with it (Odena et al.
    2017): the generator is rewarded for images of which the class can be told."""

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        """Features float32 ``(N, F)`` of real and generated images, int64 ``(N,)`` -> loss per
        image, float32 ``(N,)``, weighted."""

    @abstractmethod
    def generator(self, fake: Tensor, labels: Tensor) -> Tensor:
        """Features float32 ``(N, F)``, int64 ``(N,)`` -> loss per image, float32 ``(N,)``."""


class ACGAN(AuxiliaryClassifier):
    """Cross-entropy of a linear layer on the features: on real and generated images for the
    discriminator, on generated ones for the generator (AC-GAN; Odena et al. 2017, eq. 3).

    The auxiliary classifier of AC-GAN (Odena et al. 2017, eq. 3).
    """

    def __init__(self, num_classes: int, feature_dim: int, weight: NonNegative = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.classify = nn.Linear(feature_dim, num_classes)

    def discriminator(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        return self._cross_entropy(real, labels) + self._cross_entropy(fake, labels)

    def generator(self, fake: Tensor, labels: Tensor) -> Tensor:
        return self._cross_entropy(fake, labels)

    def _cross_entropy(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.weight * F.cross_entropy(self.classify(features), labels, reduction="none")


class D2DCE(AuxiliaryClassifier):
    """Features on a sphere are drawn to their class's proxy and away from the features of other
    classes in the batch (D2D-CE; Kang et al. 2021, eq. 7): on real images for the discriminator, on
    generated ones for the generator. Other than in AC-GAN the force on easy images vanishes.

    Args:
        embedding_dim: dimension of the sphere's space.
        margin: cosine to its proxy above which an image is easy, m_p; images of two classes are
            an easy pair below the cosine 1 - margin, m_n.
        temperature: divides the cosines, τ.

    The data-to-data cross-entropy of ReACGAN (Kang et al. 2021, eq. 7).
    """

    def __init__(
        self,
        num_classes: int,
        feature_dim: int,
        weight: NonNegative = 0.5,
        embedding_dim: Size = 512,
        margin: PositiveShare = 0.98,
        temperature: Positive = 0.5,
    ) -> None:
        super().__init__()
        if not 0 < margin <= 1 or not temperature > 0:
            raise ValueError(
                f"margin must be in (0, 1] and temperature more than 0, got {margin}, {temperature}"
            )
        self.weight, self.margin, self.temperature = weight, margin, temperature
        self.embed = nn.Linear(feature_dim, embedding_dim)
        self.proxies = nn.Embedding(num_classes, embedding_dim)
        self.processes = Processes()  # those that train it together

    def discriminator(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        return self._d2d_ce(real, labels)

    def generator(self, fake: Tensor, labels: Tensor) -> Tensor:
        return self._d2d_ce(fake, labels)

    def _d2d_ce(self, features: Tensor, labels: Tensor) -> Tensor:
        embedded = F.normalize(self.embed(features), dim=1)
        proxies = F.normalize(self.proxies(labels), dim=1)
        to_proxy = (embedded * proxies).sum(dim=1, keepdim=True)  # (N, 1)
        everybody, classes = self.processes.gather(embedded), self.processes.gather(labels)
        to_others = embedded @ everybody.T  # (N, images of all processes)
        attraction = (to_proxy - self.margin).clamp_max(0) / self.temperature
        repulsion = (to_others - (1 - self.margin)).clamp_min(0) / self.temperature
        same_class = labels[:, None] == classes  # itself too
        repulsion = repulsion.masked_fill(same_class, -torch.inf)
        total = torch.cat([attraction, repulsion], dim=1).logsumexp(dim=1)
        return self.weight * (total - attraction.squeeze(1))
