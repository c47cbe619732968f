"""Rules that bring a second image of the same class into an image, so that the label stays true."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.rules.base import Rule, per_image
from synthgen.rules.photometric import random_rectangle
from synthgen.rules.randomness import ImageRandom

LARGEST_PATCH = 0.5  # of the image's area, at strength 1


class Mixup(Rule):
    """A weighted mean with the partner (Zhang et al. 2018, within a class); at strength 1 both
    weigh the same."""

    def combine(
        self, images: Tensor, partners: Tensor, strength: Tensor, random: ImageRandom
    ) -> Tensor:
        return images + (partners - images) * per_image(0.5 * strength)


class CutMix(Rule):
    """A rectangle replaced by the same place of the partner (Yun et al. 2019, within a class)."""

    def combine(
        self, images: Tensor, partners: Tensor, strength: Tensor, random: ImageRandom
    ) -> Tensor:
        return torch.where(
            random_rectangle(images, LARGEST_PATCH * strength, random), partners, images
        )


class CopyPaste(Rule):
    """What stands out in the partner pasted over the image (Ghiasi et al. 2021, within a class).

    Nobody marked the objects, so a pixel counts as object by its distance to the mean colour of
    the partner's border; strength is how far the least of them must come through.
    """

    def combine(
        self, images: Tensor, partners: Tensor, strength: Tensor, random: ImageRandom
    ) -> Tensor:
        edges = [partners[:, :, 0], partners[:, :, -1], partners[..., 0], partners[..., -1]]
        # In float64 the sum of so few float32 values is exact, whatever its order.
        border = torch.cat(edges, dim=2).double().mean(dim=2).float()[:, :, None, None]
        apart = (partners - border).abs().amax(dim=1, keepdim=True)
        opacity = ((apart - 0.2) * 4).clamp(0, 1) * per_image(strength)
        return images + (partners - images) * opacity
