"""What the Lightning modules of all families share: the clock, noise, schedules, one optimizer
step counted per batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.hardware import Precision, autocast, compute_dtype, to_device
from synthgen.samplers.base import Sampler
from synthgen.seeds import step_generator
from synthgen.training.clock import Clock
from synthgen.training.orders import Order, Shuffled
from synthgen.types import ImageSpec, LabelledImages

NOISE = 2  # the stream of random numbers that draws latents; batches are shuffled by another


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
        self.order: Order = Shuffled()
        self.precision: Precision = "auto"
        self.losses: dict[str, Tensor] = {}
        self.before_step: Callable[[], None] = _nothing

    @abstractmethod
    def sampler(self) -> Sampler:
        """What people use: the averaged weights, sharing storage with this module."""

    def compile_networks(self, mode: str) -> None:
        """Hand the networks that are trained to torch.compile; their averages stay as they are.

        Raises SynthgenError where that is not possible.
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
        generator = step_generator(self.run_seed, NOISE, self.clock.images_seen)
        world = self.trainer.world_size if self._trainer is not None else 1
        rank = self.trainer.global_rank if self._trainer is not None else 0
        drawn = torch.randn(count * world, size, generator=generator)
        return to_device(drawn[rank * count : (rank + 1) * count], self.device)

    def optimizer_list(self) -> list[LightningOptimizer]:
        """The optimizers, of which the first alone advances ``trainer.global_step``: Lightning
        would count every optimizer's step, and its own schedules and triggers with it."""
        found = self.optimizers()
        listed = found if isinstance(found, list) else [found]
        for optimizer in listed[1:]:
            optimizer._on_before_step = optimizer._on_after_step = _nothing
        return listed

    @abstractmethod
    def step(self, images: Tensor, labels: Tensor) -> None:
        """Train on one batch: uint8 ``(B, C, H, W)``, int64 ``(B,)``."""

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.before_step()
        self.step(*batch)
        self.clock.tick(self.batch_size)


def set_hyperparameters(
    optimizer: LightningOptimizer, *, lr: float, beta2: float | None = None
) -> None:
    """Write scheduled values into every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = lr
        if beta2 is not None:
            group["betas"] = (group["betas"][0], beta2)


def _nothing() -> None:
    return None
