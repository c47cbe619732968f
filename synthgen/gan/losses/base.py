"""What an adversarial loss is."""

from typing import Protocol

from torch import Tensor


class GANLoss(Protocol):
    """Sees float32 logits ``(N,)`` and returns a loss per logit ``(N,)``: no network, no reduction,
    no device. ``real_logits[i]`` and ``fake_logits[i]`` belong to the same class. Where
    ``pairs_real`` is false the generator's loss gets no real logits: None."""

    pairs_real: bool  # the generator's loss needs real logits too

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor: ...

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor: ...
