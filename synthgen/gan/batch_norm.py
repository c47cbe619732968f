"""Running statistics of an averaged generator, which are not those of any generator it averages."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from synthgen.networks.base import Generator
from synthgen.progress import track
from synthgen.seeds import step_generator

STATISTICS = 4  # the stream of random numbers that draws latents and labels here


@torch.no_grad()
def recalibrate(
    generator: Generator,
    labels: Tensor,
    seed: int,
    *,
    batches: int = 100,
    batch_size: int = 64,
    latents: Callable[[Tensor, torch.Generator], Tensor] | None = None,
) -> None:
    """Replace running means and variances by those of fresh latents: the plain mean over
    ``batches`` batches ("standing statistics"; Brock et al. 2019, section 3.1).

    Labels are drawn from ``labels``, int64 ``(N,)``, and latents for them by ``latents``; None:
    from N(0, I). Batches of training had their own statistics, which is what the weights learned
    to work with, so the labels must come in the shares in which training showed them. The result
    is a function of weights, labels and ``seed`` alone. Without batch norm nothing happens.
    """
    layers = [layer for layer in generator.modules() if isinstance(layer, _BatchNorm)]
    if not layers:
        return
    before = [(layer.training, layer.momentum) for layer in layers]
    was_training = generator.training
    generator.eval()  # all but these layers stay as they are in use
    for layer in layers:
        layer.reset_running_stats()
        layer.train()
        layer.momentum = None  # a plain mean over all batches
    device = next(generator.parameters()).device
    with track(batches * batch_size, "Statistics of batch norm") as advance:
        for number in range(batches):
            random = step_generator(seed, STATISTICS, number)
            z = torch.randn(batch_size, generator.z_dim, generator=random)
            rows = torch.randint(len(labels), (batch_size,), generator=random)
            if latents is not None:
                z = latents(labels[rows], random)
            generator(z.to(device), labels[rows].to(device))
            advance(batch_size)
    generator.train(was_training)
    for layer, (mode, momentum) in zip(layers, before, strict=True):
        layer.train(mode)
        layer.momentum = momentum
