"""Spectral normalisation, as something that any network or any one layer can get."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from synthgen.networks.base import Discriminator

Network = TypeVar("Network", bound=nn.Module)
LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)
FIRST_ITERATIONS = 15


class SpectralNorm(nn.Module):
    """A weight divided by its largest singular value (Miyato et al. 2018, eq. 8 and algorithm 1).

    One power iteration each time that the weight is used in training, none in evaluation. Its two
    vectors are buffers, so a run that goes on from a checkpoint repeats itself. Always in float32:
    in bfloat16 the singular value would be known to 3 digits only.

    Args:
        weight: of the layer; seen as a matrix of output channels times all else.
        output_dim: which dimension of the weight counts its output channels.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, output_dim: int = 0) -> None:
        super().__init__()
        self.output_dim = output_dim
        with torch.no_grad():
            matrix = self.matrix(weight)
            rows, columns = matrix.shape
            self.register_buffer("u", F.normalize(torch.randn(rows, device=weight.device), dim=0))
            self.register_buffer("v", F.normalize(matrix.new_ones(columns), dim=0))
            for _ in range(0 if weight.is_meta else FIRST_ITERATIONS):
                self.iterate(matrix)

    def matrix(self, weight: Tensor) -> Tensor:
        return weight.transpose(0, self.output_dim).flatten(1)

    def iterate(self, matrix: Tensor) -> Tensor:
        """The singular value after one more power iteration."""
        v = F.normalize(matrix.detach().T @ self.u, dim=0)
        product = matrix @ v
        u = F.normalize(product.detach(), dim=0)
        # New contents, at addresses that stay, as CUDA graphs want it; what goes backward are the
        # local u and v, which the next pass doesn't change.
        self.u.copy_(u)
        self.v.copy_(v)
        return u @ product

    def forward(self, weight: Tensor) -> Tensor:
        with without_autocast(weight):
            matrix = self.matrix(weight)
            if self.training:
                return weight / self.iterate(matrix)
            return weight / (self.u @ (matrix @ self.v))


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """On the meta device, where shapes alone are computed, there is none to leave."""
    if tensor.is_meta:
        return contextlib.nullcontext()
    return torch.autocast(tensor.device.type, enabled=False)


def with_spectral_norm(layer: nn.Module) -> nn.Module:
    """``layer`` with its weight normalised; returns the same object. Weights that are all zero (as
    the last layer of a residual branch may be) have no norm to divide by and are drawn anew."""
    output_dim = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    weight = layer.get_parameter("weight")
    if not weight.is_meta and not weight.any():
        nn.init.orthogonal_(weight)
    parametrize.register_parametrization(layer, "weight", SpectralNorm(weight, output_dim))
    return layer


def normalise_spectrum(network: nn.Module, layers: Iterable[type[nn.Module]] = LAYERS) -> nn.Module:
    """``network`` with :func:`with_spectral_norm` on every layer of these kinds; the same object.

    A generator's embeddings must be left out, since classes are mixed by replacing their weights.
    """
    kinds = tuple(layers)
    for layer in list(network.modules()):
        if isinstance(layer, kinds) and not parametrize.is_parametrized(layer, "weight"):
            with_spectral_norm(layer)
    return network


def unnormalised(network: nn.Module) -> list[str]:
    """Kinds of layers with a weight matrix (or kernel) of their own that is used as it is."""
    kinds = {
        type(layer).__name__
        for layer in network.modules()
        if not isinstance(layer, parametrize.ParametrizationList)
        and any(one.dim() > 1 for one in layer.parameters(recurse=False))
    }
    return sorted(kinds)


class SpectrallyNormalised(Discriminator):
    """A discriminator, each of whose layers has spectral norm one (Miyato et al. 2018, eq. 9).

    Raises:
        ValueError: the network has weights that can't be normalised, or batch norm, which would
            undo it.
    """

    def __init__(self, network: Discriminator) -> None:
        super().__init__()
        self.image, self.feature_dim = network.image, network.feature_dim
        if any(isinstance(layer, _BatchNorm) for layer in network.modules()):
            raise ValueError("spectral norm bounds nothing before a batch norm; choose another one")
        normalise_spectrum(network)
        if left := unnormalised(network):
            raise ValueError(f"spectral norm can't reach the weights of {', '.join(left)}")
        self.network = network

    def features(self, images: Tensor) -> Tensor:
        return self.network.features(images)

    def logits(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.network.logits(features, labels)
