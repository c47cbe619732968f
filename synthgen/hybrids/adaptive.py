"""The weight that keeps two losses of one decoder in balance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST = 1e4
EPSILON = 1e-4


def last_weight(decoder: nn.Module) -> nn.Parameter:
    """The weights of a network's last convolution or linear layer."""
    layers = [m for m in decoder.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    if not layers:
        raise ValueError(f"{type(decoder).__name__} has no convolution and no linear layer")
    found = layers[-1].weight
    assert isinstance(found, nn.Parameter)
    return found


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, weight: Tensor) -> Tensor:
    """‖d reconstruction / d weight‖ / ‖d adversarial / d weight‖, of two scalars (Esser et al.
    2021, eq. 7): what makes both pull on that layer equally hard. Their graphs stay usable."""
    norms = []
    for loss in (reconstruction, adversarial):
        (slope,) = torch.autograd.grad(loss, weight, retain_graph=True)
        norms.append(slope.float().norm())
    return (norms[0] / (norms[1] + EPSILON)).clamp(0, LARGEST).detach()
