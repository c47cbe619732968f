"""What GANs and VAEs expect of a network; any module with these members will do."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from synthgen.serialization import Rebuildable
from synthgen.types import ImageSpec


class Generator(nn.Module, Rebuildable, ABC):
    """Latents and labels to images; also the decoder of a VAE.

    What it knows of a class lies in ``nn.Embedding`` layers with one row per class, so that classes
    can be mixed. In evaluation an image depends on its own latents and label alone.

    Attributes:
        image: shape and classes of the images.
        z_dim: length of a latent vector.
    """

    image: ImageSpec
    z_dim: int

    @abstractmethod
    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, z_dim)``, int64 ``(N,)`` -> float ``(N, C, H, W)``, nominally [-1, 1]."""


class Discriminator(nn.Module, Rebuildable, ABC):
    """Images and labels to one logit each, by way of features that a penalty, an auxiliary
    classifier or a reconstruction term may look at.

    Attributes:
        image: shape and classes of the images.
        feature_dim: length of the features, F.
    """

    image: ImageSpec
    feature_dim: int

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` in [-1, 1] -> float32 ``(N, F)``."""

    @abstractmethod
    def logits(self, features: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, F)``, int64 ``(N,)`` -> float32 ``(N,)``."""

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` in [-1, 1], int64 ``(N,)`` -> float32 logits ``(N,)``; of patches
        ``(N · patches,)``, those of an image side by side."""
        return self.logits(self.features(images), labels)


class Encoder(nn.Module, Rebuildable, ABC):
    """Images and labels to the mean and log-variance of a Gaussian over latents.

    Attributes:
        image: shape and classes of the images.
        z_dim: length of a latent vector.
    """

    image: ImageSpec
    z_dim: int

    @abstractmethod
    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """float ``(N, C, H, W)``, int64 ``(N,)`` -> mean and log-variance, float32 ``(N, Z)``."""
