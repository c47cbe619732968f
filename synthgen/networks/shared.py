"""Networks that several processes train together, each on its rows of a batch: what looks at other
rows than its own is told of the processes, or exchanged, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from synthgen.errors import SynthgenError
from synthgen.processes import Processes


class SharedBatchNorm(_BatchNorm):
    """``norm`` with the statistics of the batches of all processes, on any device; in evaluation
    the same as ``norm``. It takes over parameters and buffers, so that names in a state stay as
    they are. Gradients flow through the statistics, twice if need be, which torch's SyncBatchNorm
    does neither twice nor on CPUs (torch 2.14)."""

    kinds: ClassVar = {nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm}

    def __init__(self, norm: _BatchNorm, processes: Processes) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, affine=False)
        self.affine, self.track_running_stats = norm.affine, norm.track_running_stats
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.processes = processes
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, ...) -> the same, of the same dtype
        if not self.training and self.running_mean is not None:
            return super().forward(x)
        over = [dim for dim in range(x.dim()) if dim != 1]
        variance, mean = torch.var_mean(x.float(), over, correction=0)
        each = self.processes.gather(torch.stack([mean, variance])[None])  # (processes, 2, C)
        mean = each[:, 0].mean(0)
        # Of all rows: the variance within processes and that between them.
        variance = each[:, 1].mean(0) + (each[:, 0] - mean).square().mean(0)
        if self.training:
            self._follow(mean.detach(), variance.detach(), x.numel() // x.shape[1])
        scale = (variance + self.eps).rsqrt()
        scale = scale if self.weight is None else scale * self.weight
        shift = -mean * scale
        shift = shift if self.bias is None else shift + self.bias
        places = (1, -1, *[1] * (x.dim() - 2))
        return torch.addcmul(shift.view(places), x, scale.view(places)).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics towards those of a batch of ``count`` positions of each
        process; the variance as an unbiased estimate, as torch keeps it."""
        if self.running_mean is None or self.running_var is None:
            return
        share = self.momentum or 0.0
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
            if self.momentum is None:  # a plain mean over all batches
                share = 1 / float(self.num_batches_tracked)
        count *= self.processes.world
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (count / (count - 1)), share)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""


def shared_parts(module: nn.Module, processes: Processes, skip: type[nn.Module]) -> None:
    """Let every part of ``module`` know ``processes``, except what is ``skip``: those that have an
    attribute ``processes`` get them, and batch norms become :class:`SharedBatchNorm`. A part with a
    method ``why_not_shared`` may say that it can't be, and why.

    Raises:
        SynthgenError: a layer is known to compute something else than in one process.
    """
    if processes.world == 1:
        return
    for name, part in list(_parts(module, skip, "")):
        if isinstance(getattr(part, "processes", None), Processes):
            part.processes = processes  # type: ignore[assignment]
        if reason := _unequal(part) or _own_reason(part):
            raise SynthgenError(
                f"{name} ({type(part).__name__}) {reason}, so {processes.world} processes wouldn't "
                "compute what one does.\nUse trainer.devices=1, or another layer in its place."
            )
        for key, child in part.named_children():
            if type(child) in SharedBatchNorm.kinds:
                assert isinstance(child, _BatchNorm)
                setattr(part, key, SharedBatchNorm(child, processes))


def _parts(module: nn.Module, skip: type[nn.Module], name: str) -> Iterator[tuple[str, nn.Module]]:
    yield name, module
    for key, child in module.named_children():
        if not isinstance(child, skip):
            yield from _parts(child, skip, f"{name}.{key}" if name else key)


def _own_reason(part: nn.Module) -> str:
    """What a part says of itself: by a method ``why_not_shared``, empty if it can be shared."""
    ask = getattr(part, "why_not_shared", None)
    return "" if ask is None else str(ask())


def _unequal(part: nn.Module) -> str:
    """Why a part can't be shared; empty: it can, as far as one can see."""
    if isinstance(part, _BatchNorm) and type(part) not in {*SharedBatchNorm.kinds, SharedBatchNorm}:
        return "keeps statistics of its own process's rows"
    if isinstance(part, _InstanceNorm) and part.track_running_stats:
        return "averages statistics of its own process's rows"
    drops = part.p if isinstance(part, _DropoutNd) else getattr(part, "dropout", 0.0)
    if isinstance(part, nn.RReLU) or (isinstance(drops, float) and drops > 0):
        return "draws other random numbers for a part of a batch than for the whole"
    return ""


@torch.no_grad()
def require_same_buffers(module: nn.Module, processes: Processes) -> None:
    """What follows the batch must have followed that of all processes. All must ask.

    Raises:
        SynthgenError: a buffer differs between processes.
    """
    for name, buffer in module.named_buffers():
        if processes.world == 1 or not buffer.is_floating_point() or not buffer.numel():
            continue
        mine = buffer.float().flatten()
        every = processes.gather(mine[None])
        if not torch.allclose(every, every[:1].expand_as(every), 1e-4, 1e-6, equal_nan=True):
            raise SynthgenError(
                f"{name} follows the rows of its own process, so {processes.world} processes don't "
                "compute what one does.\nUse trainer.devices=1, or let it look at the whole batch: "
                "CONTRIBUTING.md, Many processes."
            )
