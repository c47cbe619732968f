"""The processes that train one model together, each on its rows of every batch, and what they tell
each other.

N processes are to compute what one would. A batch is in *global* order: row ``i`` of ``B`` belongs
to process ``i // (B / N)``. Every process takes the mean of its own rows' losses; the mean of their
gradients is that of the whole batch. What looks at more than its own row (a batch norm, a moving
average, a contrast) asks for the rows of the others with :meth:`Processes.gather` or
:meth:`Processes.total`, whose gradients flow back to whoever they came from, twice if need be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

Plain = TypeVar("Plain")  # numbers, text, lists, tables


class Processes:
    """One process, alone: what is asked of all is asked of itself.

    Attributes:
        rank: number of this process, from 0; number 0 alone writes files.
        world: how many there are.
    """

    rank, world = 0, 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def gather(self, rows: Tensor) -> Tensor:
        """``(B / N, ...)`` of every process -> ``(B, ...)`` in global order, the same on all. Every
        process must have as many rows. A loss of the gathered rows is to be computed on all."""
        return rows

    def total(self, value: Tensor) -> Tensor:
        """The sum over processes of a tensor of one shape, the same on all."""
        return value

    def mean(self, value: Tensor) -> Tensor:
        """The mean over processes: of means of as many rows each, that of all rows."""
        return self.total(value) / self.world

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its mean over processes. All must have the same ones."""

    def follow_first(self, tensors: Iterable[Tensor]) -> None:
        """Give ``tensors`` process 0's values, in place. All must have tensors of these shapes."""

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """Each flag, true on all processes if it is on any. All must ask at the same place."""
        return flags

    def first_says(self, value: Plain) -> Plain:
        """Process 0's plain ``value``, on all."""
        return value

    def wait(self) -> None:
        """Until all have come here."""


ALONE = Processes()


class Together(Processes):
    """Several processes in a group of torch.distributed, which exists already.

    Tensors go through ``group`` (gloo, or NCCL for those on GPUs); flags and plain values through
    ``control``, which takes those on CPUs, so that no process waits for its device to agree.
    Compiled networks are interrupted where they ask others.
    """

    def __init__(
        self, group: dist.ProcessGroup | None = None, control: dist.ProcessGroup | None = None
    ) -> None:
        self.group, self.control = group, control if control is not None else group
        self.rank, self.world = dist.get_rank(group), dist.get_world_size(group)

    @torch.compiler.disable
    def gather(self, rows: Tensor) -> Tensor:
        found: Tensor = _Gather.apply(rows, self)
        return found

    @torch.compiler.disable
    def total(self, value: Tensor) -> Tensor:
        found: Tensor = _Total.apply(value, self)
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Together:
        return self  # a copy of what they train is theirs too; groups can't be copied

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        for alike in _by_kind(one.grad for one in parameters if one.grad is not None):
            flat = _flatten_dense_tensors(alike)
            dist.all_reduce(flat, group=self.group)
            flat /= self.world
            torch._foreach_copy_(alike, list(_unflatten_dense_tensors(flat, alike)))

    @torch.no_grad()
    def follow_first(self, tensors: Iterable[Tensor]) -> None:
        for alike in _by_kind(tensors):
            flat = _flatten_dense_tensors(alike)
            group = self.control if flat.device.type == "cpu" else self.group
            dist.broadcast(flat, group=group, group_src=0)
            torch._foreach_copy_(alike, list(_unflatten_dense_tensors(flat, alike)))

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        said = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self.control)
        return tuple(bool(one) for one in said)

    def first_says(self, value: Plain) -> Plain:
        holder = [value]
        dist.broadcast_object_list(holder, group=self.control, group_src=0)
        return holder[0]

    def wait(self) -> None:
        dist.barrier(group=self.control)


def _by_kind(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Those of one dtype and device together, in the same order on all processes."""
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for one in tensors:
        kinds.setdefault((one.dtype, one.device), []).append(one)
    return list(kinds.values())


class _Gather(torch.autograd.Function):
    """Every process's loss depends on all rows: a row's slope is the sum of what all say of it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, processes: Together) -> Tensor:
        ctx.processes = processes
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(processes.world)]
        dist.all_gather(parts, rows, group=processes.group)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        return _OwnRows.apply(slopes[0], ctx.processes), None


class _OwnRows(torch.autograd.Function):
    """The transpose of :class:`_Gather`: the sum over processes, of which each keeps its rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, processes: Together) -> Tensor:
        ctx.processes = processes
        summed = rows.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed, group=processes.group)
        return summed.chunk(processes.world)[processes.rank].clone()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        return _Gather.apply(slopes[0], ctx.processes), None


class _Total(torch.autograd.Function):
    """A sum over processes is its own transpose."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, processes: Together) -> Tensor:
        ctx.processes = processes
        summed = value.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed, group=processes.group)
        return summed

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        return _Total.apply(slopes[0], ctx.processes), None
