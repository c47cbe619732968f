"""How large the gradients of the last step are, by the network that they belong to."""

from __future__ import annotations

import torch
from torch import Tensor

from synthgen.training.module import GenerativeModule

PREFIX = "gradient_norm/"


def gradient_norms(module: GenerativeModule) -> dict[str, float]:
    """``{"gradient_norm/generator": 0.7}``: the Euclidean norm over all parameters of a network
    that an optimizer moves, of the gradients of its last step. They stay where they are until the
    next step, so this costs one pass over them and waits for the device."""
    owner = {id(parameter): name.partition(".")[0] for name, parameter in module.named_parameters()}
    found: dict[str, list[Tensor]] = {}
    for optimizer in module.optimizer_list():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    found.setdefault(owner[id(parameter)], []).append(parameter.grad)
    return {
        f"{PREFIX}{name}": float(torch.nn.utils.get_total_norm(grads))
        for name, grads in found.items()
    }
