"""Hinge loss (Lim & Ye 2017; Miyato et al. 2018, eqs. 16 and 17)."""

import torch.nn.functional as F
from torch import Tensor


class Hinge:
    """Margins of one around zero for the discriminator, a linear loss for the generator."""

    pairs_real = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.relu(1 - real_logits) + F.relu(1 + fake_logits)

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        return -fake_logits
