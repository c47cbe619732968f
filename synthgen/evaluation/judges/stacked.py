"""Many small multilayer perceptrons that learn side by side, one matrix product for all of them.

The gradients are written out: through autograd a step of such a network is mostly overhead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from synthgen.seeds import step_generator

MOMENTUM = 0.9
INITIAL = 0  # stream of the initial weights

Weights = list[Tensor]
"""Per layer a matrix ``(outputs, inputs)`` and a bias ``(outputs, 1)``, alternating."""


def initial_weights(sizes: Sequence[int], seed: int) -> Weights:
    """Uniform within ±1/√inputs, for the layers between ``sizes``; a function of the seed alone."""
    generator = step_generator(seed, INITIAL)
    weights = []
    for inputs, outputs in pairwise(sizes):
        bound = 1 / math.sqrt(inputs)
        for columns in (inputs, 1):
            drawn = torch.empty(outputs, columns)
            weights.append(drawn.uniform_(-bound, bound, generator=generator))
    return weights


class StackedPerceptrons:
    """ReLU networks of equal sizes under SGD with momentum 0.9: ``velocity = 0.9 velocity +
    gradient``, ``weights -= learning_rate velocity``. The leading axis of every tensor is the
    network's; the images of a batch stand in columns, where products and softmax are fastest.

    Args:
        networks: the initial weights of each network.
    """

    def __init__(self, networks: Sequence[Weights], device: torch.device) -> None:
        self.weights = [torch.stack(parts).to(device) for parts in zip(*networks, strict=True)]
        self.forget()

    def forget(self) -> None:
        """Start again from velocity 0."""
        self.velocities = [torch.zeros_like(weight) for weight in self.weights]

    def step(self, inputs: Tensor, targets: Tensor, learning_rate: float) -> None:
        """One step on float32 inputs ``(M, B, D)`` and targets ``(M, B, K)``: the loss of a network
        is the sum over its batch of ``-targets · log softmax(logits)``."""
        weights, velocities = self.weights, self.velocities
        activations, targets = [inputs.mT], targets.mT
        for matrix, bias in zip(weights[0:-2:2], weights[1:-2:2], strict=True):
            activations.append(torch.baddbmm(bias, matrix, activations[-1]).relu_())
        delta = torch.baddbmm(weights[-1], weights[-2], activations[-1]).softmax(1)
        delta.mul_(targets.sum(1, keepdim=True)).sub_(targets)
        for layer in reversed(range(len(activations))):
            below, parts = activations[layer], (2 * layer, 2 * layer + 1)  # matrix, bias
            velocities[parts[0]].baddbmm_(delta, below.mT, beta=MOMENTUM)
            velocities[parts[1]].mul_(MOMENTUM).add_(delta.sum(2, keepdim=True))
            if layer:  # through the weights as they were in the forward pass
                delta = masked(torch.bmm(weights[parts[0]].mT, delta), below)
            for part in parts:
                weights[part].sub_(velocities[part], alpha=learning_rate)

    def network(self, position: int) -> Weights:
        """The weights of one network as they are now; they share memory with the stack."""
        return [weight[position] for weight in self.weights]


def masked(gradient: Tensor, activations: Tensor) -> Tensor:
    """The gradient below a ReLU with these activations, in one pass."""
    return torch.ops.aten.threshold_backward(gradient, activations, 0)


def logits(network: Weights, inputs: Tensor) -> Tensor:
    """float32 ``(N, D)`` -> ``(N, K)`` of one network."""
    for matrix, bias in zip(network[0:-2:2], network[1:-2:2], strict=True):
        inputs = torch.addmm(bias.mT, inputs, matrix.mT).relu_()
    return torch.addmm(network[-1].mT, inputs, network[-2].mT)
