"""Relativistic pairing loss (Jolicoeur-Martineau 2018; RpGAN as in Huang et al. 2024, eq. 2)."""

import torch.nn.functional as F
from torch import Tensor


class RelativisticPairing:
    """softplus of the difference between a real and a fake image's logits."""

    pairs_real = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.softplus(fake_logits - real_logits)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        assert real_logits is not None, "pairs_real asks for them"
        return F.softplus(real_logits - fake_logits)
