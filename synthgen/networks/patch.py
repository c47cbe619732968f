"""A discriminator that judges patches (Isola et al. 2017, section 3.2.2): sharpness is local."""

from __future__ import annotations

import itertools
import math

import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.networks.base import Discriminator
from synthgen.networks.blocks import GAIN, SLOPE, scaled_
from synthgen.ranges import Depth, Width
from synthgen.types import ImageSpec


class PatchDiscriminator(Discriminator):
    """A grid of logits, one for each overlapping patch of the image (Isola et al. 2017, section
    3.2.2); the class by projection in each patch (Miyato & Koyama 2018, eq. 3).

    Without normalisation layers, so that a logit depends on its patch alone; a gradient penalty
    keeps it in bounds instead. Its logits are ``(N * patches,)``, those of one image together.

    Args:
        image: shape and classes of the images.
        width: channels after the first convolution; doubles with every further one.
        max_width: and ends here.
        halvings: 4x4 convolutions of stride 2. Patches have 8, 18, 38 pixels for 1, 2, 3.
    """

    def __init__(
        self, image: ImageSpec, *, width: Width = 64, max_width: Width = 512, halvings: Depth = 3
    ) -> None:
        super().__init__()
        height, columns = image.height >> halvings, image.width >> halvings
        if halvings < 1 or not height or not columns:
            raise ValueError(
                f"halvings must be at least 1 and leave a pixel of {image.height} x {image.width}, "
                f"got {halvings}"
            )
        widths = [min(width * 2**level, max_width) for level in range(halvings + 1)]
        layers = [scaled_(nn.Conv2d(image.channels, widths[0], 4, 2, 1), GAIN)]
        for before, after in itertools.pairwise(widths[:-1]):
            layers.append(scaled_(nn.Conv2d(before, after, 4, 2, 1), GAIN))
        layers.append(scaled_(nn.Conv2d(widths[-2], widths[-1], 3, 1, 1), GAIN))
        self.image, self.last_width = image, widths[-1]
        self.layers = nn.ModuleList(layers)
        self.score = scaled_(nn.Linear(self.last_width, 1))
        self.embedding = nn.Embedding(image.num_classes, self.last_width)
        self.patches = height * columns
        self.feature_dim = self.patches * self.last_width

    @property
    def receptive_field(self) -> int:
        """Side of a patch in pixels."""
        size, jump = 1, 1
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            size += (layer.kernel_size[0] - 1) * jump
            jump *= layer.stride[0]
        return size

    def features(self, images: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` in [-1, 1] -> float32 ``(N, patches * last_width)``."""
        x = images
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
        return x.permute(0, 2, 3, 1).flatten(1).float()

    def logits(self, features: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, F)``, int64 ``(N,)`` -> float32 ``(N * patches,)``."""
        x = features.view(len(features), self.patches, self.last_width)
        embedded = self.embedding(labels)[:, None] / math.sqrt(self.last_width)
        return (self.score(x).squeeze(2) + (x * embedded).sum(dim=2)).flatten()
