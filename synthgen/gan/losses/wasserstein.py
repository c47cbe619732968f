"""Wasserstein loss (Arjovsky et al. 2017, eqs. 2 and 3)."""

from torch import Tensor


class Wasserstein:
    """The difference of mean logits: an Earth mover's distance as long as something else, a
    penalty or spectral norm, keeps the critic's slope bounded."""

    pairs_real = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return fake_logits - real_logits

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        return -fake_logits
