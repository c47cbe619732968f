"""Bernoulli pixels: brightness as the probability of white (Kingma & Welling 2014, app. C)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.spec import Rebuildable
from synthgen.types import ImageSpec


class BernoulliLikelihood(nn.Module, Rebuildable):
    """Outputs are logits of white (Kingma & Welling 2014, app. C.1).

    For images that are nearly black and white, such as digits; grey levels count as fractions, so
    the value is a bound's surrogate, not a likelihood.
    """

    def out_channels(self, image: ImageSpec) -> int:
        return image.channels

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 outputs and images ``(N, C, H, W)`` in [-1, 1] -> nats per image ``(N,)``."""
        target = images.add(1).div(2)
        cross_entropy = F.binary_cross_entropy_with_logits(outputs, target, reduction="none")
        return cross_entropy.sum(dim=(1, 2, 3))

    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image in [-1, 1]."""
        return outputs.sigmoid().mul(2).sub(1)
