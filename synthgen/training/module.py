"""What the Lightning modules of all families share: noise, averaged weights, one optimizer per
part."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from synthgen.device import Precision, autocast, compute_dtype, to_device
from synthgen.errors import SynthgenError
from synthgen.networks.shared import require_same_buffers, shared_parts
from synthgen.processes import Processes
from synthgen.samplers.base import Sampler
from synthgen.seeds import BatchGenerator, Stream, batch_generator
from synthgen.training.data import Order, Shuffled
from synthgen.training.schedules import Clock
from synthgen.types import ImageSpec, LabelledImages

# Exponential moving average of a network's weights, with its half-life in images.

Network = TypeVar("Network", bound=nn.Module)
StepTaker = LightningOptimizer | torch.optim.Optimizer


class EMA(nn.Module, Generic[Network]):
    """Keeps ``average``, a slowly following copy of ``network``.

    The half-life grows with the run, ``min(half_life, ramp * images_seen)``, so that short runs
    aren't dominated by their first, random weights (Karras et al. 2020, training details).
    Parameters are averaged; buffers are copied.
    """

    def __init__(self, network: Network, half_life: int, ramp: float = 0.05) -> None:
        super().__init__()
        self.average: Network = copy.deepcopy(network).requires_grad_(False)
        self.half_life, self.ramp = half_life, ramp

    @torch.no_grad()
    def update(self, network: Network, batch: int, images_seen: int) -> None:
        """Move the average towards ``network`` after ``batch`` more images."""
        half_life = min(self.half_life, self.ramp * images_seen)
        keep = 0.5 ** (batch / half_life) if half_life > 0 else 0.0
        torch._foreach_lerp_(list(self.average.parameters()), list(network.parameters()), 1 - keep)
        for mine, theirs in zip(self.average.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)


class GenerativeModule(LightningModule):
    """Base of GAN and VAE: manual optimization on an images-seen clock.

    Subclasses implement ``step`` and ``sampler``. They put the losses of the last step,
    as detached tensors, into ``self.losses``; these are read (and checked for NaN) now and then.
    """

    automatic_optimization = False

    def __init__(self, image: ImageSpec, batch_size: int) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.image, self.batch_size = image, batch_size
        self.clock = Clock()
        self.run_seed = 0
        self.processes = Processes()  # those that train it together
        self.order: Order = Shuffled()
        self.precision: Precision = "auto"
        self.losses: dict[str, Tensor] = {}
        self.before_step: Callable[[], None] = _nothing
        self.after_step: Callable[[], None] = _nothing

    def share(self, processes: Processes) -> None:
        """Train together with others from the next step on, from process 0's weights. Called once,
        by all of them, while the module is where its weights begin.

        ``batch_size`` stays that of all processes together. What looks at a batch looks at all of
        it: see :func:`synthgen.networks.shared.shared_parts`. Averages are left as they are.

        Raises:
            SynthgenError: the processes can't share a batch evenly, or a part would compute
                something else than in one process. What can't be told from its type is told after
                the first step, by buffers that differ between processes.
        """
        if self.batch_size % processes.world:
            world, batch = processes.world, self.batch_size
            fewer = next(one for one in range(world, 0, -1) if batch % one == 0)
            raise SynthgenError(
                f"A batch of {batch} images can't be shared by {world} processes evenly.\n"
                f"Use model.batch_size={-(-batch // world) * world}, or "
                f"{fewer} process{'es' if fewer > 1 else ''}; a run that goes on keeps its batches."
            )
        self.processes = processes
        shared_parts(self, processes, skip=EMA)
        processes.follow_first([*self.parameters(), *self.buffers()])
        self.after_step = self._require_same_buffers

    def _require_same_buffers(self) -> None:
        require_same_buffers(self, self.processes)
        self.after_step = _nothing  # once

    @abstractmethod
    def sampler(self) -> Sampler:
        """What people use: the averaged weights, sharing storage with this module."""

    def compile_networks(self, mode: str) -> None:
        """Hand the networks that are trained to torch.compile; their averages stay as they are.

        Raises:
            SynthgenError: that is not possible.
        """
        raise SynthgenError(
            f"trainer.compile={mode}: {type(self).__name__} can't be compiled.\n"
            "Use trainer.compile=null."
        )

    def finish(self, real: LabelledImages) -> Sampler:
        """The final sampler; a family may estimate more from the training images first."""
        return self.sampler()

    def shown_labels(self, real: LabelledImages) -> Tensor:
        """int64 ``(M,)``: labels in the shares in which training shows the classes."""
        return self.order.shown(real.labels, self.run_seed, self.clock.images_seen)

    def autocast(self) -> AbstractContextManager[object]:
        return autocast(self.device, compute_dtype(self.precision, self.device))

    @property
    def training_device(self) -> torch.device:
        """Where it is being trained, or was: Lightning brings it back to the CPU at the end."""
        return self.device if self._trainer is None else self._trainer.strategy.root_device

    def noise(self, count: int, size: int) -> Tensor:
        """float32 ``(count, size)`` from N(0, I), a pure function of the run's seed and the images
        seen, so that a resumed run repeats it. Each process takes its rows of the global batch."""
        drawn = self.random(Stream.NOISE, self.clock.images_seen).randn(count, size)
        return to_device(drawn, self.device)

    def random(self, stream: Stream, *position: int) -> BatchGenerator:
        """For what is drawn in a step: a pure function of the run's seed and the position, which
        draws for the whole batch and keeps this process's rows."""
        rank, world = self.processes.rank, self.processes.world
        return batch_generator(rank, world, self.run_seed, stream, *position)

    def logged_losses(self) -> dict[str, Tensor]:
        """``losses``, each the mean over processes, float32 scalars. All processes must ask."""
        if not self.losses:
            return {}
        values = torch.stack([value.detach().float() for value in self.losses.values()])
        return dict(zip(self.losses, self.processes.mean(values).unbind(), strict=True))

    def optimizer_list(self) -> list[StepTaker]:
        """The optimizers, of which the first alone advances ``trainer.global_step``: Lightning
        would count every optimizer's step, and its own schedules and triggers with it. So the
        others are torch's own."""
        counted, plain = self.optimizers(), self.optimizers(use_pl_optimizer=False)
        if isinstance(counted, list):
            assert isinstance(plain, list)
            return [counted[0], *plain[1:]]
        return [counted]

    def descend(self, optimizer: StepTaker, loss: Tensor) -> None:
        """One step of ``optimizer`` down the gradient of ``loss``, a scalar: of this process's
        rows. Explicit averaging, because DistributedDataParallel's reducer knows neither two
        optimizers nor frozen networks nor gradients of gradients."""
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        groups = optimizer.param_groups
        self.processes.average_gradients(one for group in groups for one in group["params"])
        optimizer.step()

    @abstractmethod
    def step(self, images: Tensor, labels: Tensor) -> None:
        """Train on one batch: uint8 ``(B, C, H, W)``, int64 ``(B,)``."""

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.before_step()
        self.step(*batch)
        self.after_step()
        self.clock.tick(self.batch_size)
        if self.clock.max_seconds is not None:
            # Schedules go by it, and what a step does: all processes must read the same clock.
            seconds = torch.tensor(self.clock.seconds, dtype=torch.float64)
            self.processes.follow_first([seconds])
            self.clock.seconds = float(seconds)


def set_hyperparameters(optimizer: StepTaker, *, lr: float, beta2: float | None = None) -> None:
    """Write scheduled values into every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = lr
        if beta2 is not None:
            group["betas"] = (group["betas"][0], beta2)


def _nothing() -> None:
    return None
