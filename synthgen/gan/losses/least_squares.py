"""Least-squares loss (Mao et al. 2017, eq. 9: targets 1 and 0)."""

from torch import Tensor


class LeastSquares:
    """Logits are regressed to one for real and zero for generated images; the boundary is ½."""

    pairs_real = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return ((real_logits - 1).square() + fake_logits.square()) / 2

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
        return (fake_logits - 1).square() / 2
