"""Generator and discriminator after DCGAN (Radford et al. 2016), made conditional and for any size
from 8 to 256 pixels: strided convolutions and batch norm."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from synthgen.networks.base import Discriminator, Generator
from synthgen.networks.blocks import SLOPE, Head, Projection, class_embedding, crop_to, pad_to
from synthgen.networks.r3gan import Pyramid
from synthgen.ranges import Size, Width
from synthgen.types import ImageSpec

STD = 0.02  # of all initial weights (Radford et al. 2016, section 4)


class DCGenerator(Generator):
    """Transposed convolutions with batch norm and ReLU (Radford et al. 2016, section 3 and
    figure 1). The label enters as an embedding appended to the latents.

    Its 4x4 kernels in place of the published 5x5 cover every pixel equally often at stride 2
    (Odena et al. 2016, "Deconvolution and checkerboard artifacts").

    Args:
        image: shape and classes of the images to make.
        z_dim: length of a latent vector.
        width: channels at half the full resolution; doubles with every halving, up to
            ``max_width``.
        embedding_dim: length of the class embedding.
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        z_dim: Size = 100,
        width: Width = 128,
        max_width: Width = 1024,
        embedding_dim: Size = 64,
    ) -> None:
        super().__init__()
        self.image, self.z_dim = image, z_dim
        shape = halved(image, width, max_width)
        self.base, self.first_width = shape.base, shape.widths[0]
        self.embedding = class_embedding(image.num_classes, embedding_dim)
        positions = self.base[0] * self.base[1]
        self.project = nn.Linear(z_dim + embedding_dim, self.first_width * positions, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(self.first_width), nn.ReLU()]
        for before, after in pairwise(shape.widths):
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        layers.append(nn.ConvTranspose2d(shape.widths[-1], image.channels, 4, stride=2, padding=1))
        self.stages = nn.Sequential(*layers)
        initialise(self)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, z_dim)``, int64 ``(N,)`` -> float ``(N, C, H, W)`` in [-1, 1]."""
        x = self.project(torch.cat([z, self.embedding(labels).to(z.dtype)], dim=1))
        x = x.view(len(z), self.first_width, *self.base).to(memory_format=torch.channels_last)
        return crop_to(torch.tanh(self.stages(x)), self.image.height, self.image.width)


class DCDiscriminator(Discriminator):
    """Strided convolutions with batch norm and leaky ReLU (Radford et al. 2016, section 3). The
    features are the last map, flattened, as in the paper.

    Args:
        image: shape and classes of the images.
        width: channels at half the full resolution; doubles with every halving, up to
            ``max_width``.
        head: what makes logits of the features: called with (their length, number of classes).
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        width: Width = 128,
        max_width: Width = 1024,
        head: Callable[[int, int], Head] = Projection,
    ) -> None:
        super().__init__()
        self.image = image
        shape = halved(image, width, max_width)
        self.full, widths = shape.full, shape.widths[::-1]
        layers: list[nn.Module] = [
            nn.Conv2d(image.channels, widths[0], 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
        ]
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(SLOPE),
            ]
        self.stages = nn.Sequential(*layers)
        initialise(self)
        self.feature_dim = widths[-1] * shape.base[0] * shape.base[1]
        self.head = head(self.feature_dim, image.num_classes)

    def features(self, images: Tensor) -> Tensor:
        x = pad_to(images, *self.full).contiguous(memory_format=torch.channels_last)
        return self.stages(x).flatten(1).float()

    def logits(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.head(features, labels)


def halved(image: ImageSpec, width: int, max_width: int) -> Pyramid:
    """The stages up to half the full resolution: the last convolution makes the rest."""
    if max(image.height, image.width) < 8:
        raise ValueError(f"a DCGAN needs images of at least 8 pixels, not {image.shape}")
    return Pyramid(image, 2, width, max_width, blocks=0, last_blocks=0)


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02²), gains of batch norms from N(1, 0.02²)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            layer.weight.normal_(0, STD)
            if layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.normal_(1, STD)
