"""Non-saturating logistic loss (Goodfellow et al. 2014, section 3)."""

import torch.nn.functional as F
from torch import Tensor


class NonSaturating:
    """-log D for real and generated, -log(1 - D) for fake; softplus keeps it finite."""

    pairs_real = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.softplus(-real_logits) + F.softplus(fake_logits)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        return F.softplus(-fake_logits)
