"""The auxiliary classifier of AC-GAN (Odena et al. 2017, eq. 3)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.gan.auxiliary.base import AuxiliaryClassifier
from synthgen.ranges import NonNegative


class ACGAN(AuxiliaryClassifier):
    """Cross-entropy of a linear layer on the features: on real and generated images for the
    discriminator, on generated ones for the generator (AC-GAN; Odena et al. 2017, eq. 3)."""

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
