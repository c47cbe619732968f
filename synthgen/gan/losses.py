"""Adversarial losses: each sees logits only and returns one value per image."""

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

# What an adversarial loss is.


class GANLoss(Protocol):
    """Sees float32 logits ``(N,)`` and returns a loss per logit ``(N,)``: no network, no reduction,
    no device. ``real_logits[i]`` and ``fake_logits[i]`` belong to the same class.

    Attributes:
        pairs_real: the generator's loss needs real logits too; where false, it gets None for them.
    """

    pairs_real: bool

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor: ...

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor: ...


class Hinge:
    """Margins of one around zero for the discriminator, a linear loss for the generator.

    Hinge loss (Lim & Ye 2017; Miyato et al. 2018, eqs. 16 and 17).
    """

    pairs_real = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.relu(1 - real_logits) + F.relu(1 + fake_logits)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        return -fake_logits


class LeastSquares:
    """Logits are regressed to one for real and zero for generated images; the boundary is ½.

    Least-squares loss (Mao et al. 2017, eq. 9: targets 1 and 0).
    """

    pairs_real = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return ((real_logits - 1).square() + fake_logits.square()) / 2

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        return (fake_logits - 1).square() / 2


class NonSaturating:
    """-log D for real and generated, -log(1 - D) for fake; softplus keeps it finite.

    Non-saturating logistic loss (Goodfellow et al. 2014, section 3).
    """

    pairs_real = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.softplus(-real_logits) + F.softplus(fake_logits)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        return F.softplus(-fake_logits)


class Wasserstein:
    """The difference of mean logits: an Earth mover's distance as long as something else, a
    penalty or spectral norm, keeps the critic's slope bounded.

    Wasserstein loss (Arjovsky et al. 2017, eqs. 2 and 3).
    """

    pairs_real = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return fake_logits - real_logits

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        return -fake_logits


class RelativisticPairing:
    """softplus of the difference between a real and a fake image's logits.

    Relativistic pairing loss (Jolicoeur-Martineau 2018; RpGAN as in Huang et al. 2024, eq. 2).
    """

    pairs_real = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.softplus(fake_logits - real_logits)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        assert real_logits is not None, "pairs_real asks for them"
        return F.softplus(real_logits - fake_logits)
