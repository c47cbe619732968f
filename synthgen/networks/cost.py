"""What a network costs: parameters, and multiply-adds of one forward pass. Both are counted on the
meta device if the network was built there, so that no weight is ever allocated."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from synthgen.types import ImageSpec


@dataclass(frozen=True)
class Cost:
    """Of one network at one image size.

    Attributes:
        parameters: trainable numbers.
        multiply_adds: of matrix products, convolutions and attention of a forward pass in
            evaluation for one image; None for a module that takes no latents or images.
    """

    parameters: int
    multiply_adds: int | None


def cost(network: nn.Module) -> Cost:
    """The cost of a network that makes or takes one image."""
    inputs = example_inputs(network)
    count = None if inputs is None else multiply_adds(network, *inputs)
    return Cost(parameters(network), count)


def parameters(module: nn.Module) -> int:
    """Trainable numbers; an average of weights is not one."""
    return sum(one.numel() for one in module.parameters() if one.requires_grad)


@torch.no_grad()
def multiply_adds(network: Callable[..., Any], *inputs: Tensor) -> int:
    """Half the floating-point operations of ``network(*inputs)``, as torch counts them: products
    and convolutions, with the additions of their sums; neither biases nor activations nor resizing.

    A module is put into evaluation for it and back afterwards.
    """
    modules = list(network.modules()) if isinstance(network, nn.Module) else []
    training = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        # As its products: torch doesn't count the fused attention of every processor.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            network(*inputs)
    finally:
        for module, before in zip(modules, training, strict=True):
            module.training = before
    return int(counter.get_total_flops()) // 2


def example_inputs(network: nn.Module) -> tuple[Tensor, ...] | None:
    """One image's worth of what ``forward`` names (latents ``z``, ``images``, ``labels``, or the
    ``grid`` of vectors of a code decoder), where the network's weights are; None for a module that
    takes anything else."""
    image = getattr(network, "image", None)
    if not isinstance(image, ImageSpec):
        return None
    device = next((one.device for one in network.parameters()), torch.device("cpu"))
    known: dict[str, Callable[[Any], Tensor]] = {
        "z": lambda one: torch.zeros(1, one.z_dim, device=device),
        "images": lambda one: torch.zeros(1, *image.shape, device=device),
        "labels": lambda one: torch.zeros(1, dtype=torch.int64, device=device),
        "grid": lambda one: torch.zeros(1, one.code_dim, *one.grid, device=device),
    }
    parameters = inspect.signature(network.forward).parameters.values()
    names = [one.name for one in parameters if one.default is one.empty]
    if not names or any(name not in known for name in names):
        return None
    return tuple(known[name](network) for name in names)
