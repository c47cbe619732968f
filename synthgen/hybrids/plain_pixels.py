"""A decoder that makes pixels itself, without a likelihood around them."""

from __future__ import annotations

from torch import Tensor, nn

from synthgen.spec import Rebuildable


class PlainPixels(nn.Module, Rebuildable):
    """A decoder's output is the image."""

    def mean(self, outputs: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` -> the same."""
        return outputs
