"""What an auxiliary classifier on the discriminator's features is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


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
