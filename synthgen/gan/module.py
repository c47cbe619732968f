"""A conditional GAN: two networks, a loss, penalties, schedules. All of them are arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from synthgen.gan.losses.base import GANLoss
from synthgen.gan.penalties.base import CriticStep, Penalty
from synthgen.images import to_float
from synthgen.networks.r3gan import R3Discriminator, R3Generator
from synthgen.samplers.base import Sampler
from synthgen.samplers.neural import GeneratorSampler
from synthgen.training.ema import EMA
from synthgen.training.module import GenerativeModule, set_hyperparameters
from synthgen.training.schedules import Schedule


class GAN(GenerativeModule):
    """One discriminator step and one generator step per batch, on the same generated images.

    Args:
        generator: latents and labels to images; its average over the run is what is used.
        discriminator: images and labels to logits.
        loss: adversarial loss per image.
        penalties: added to the discriminator's loss; their names are those in the log.
        generator_optimizer: called with the generator's parameters.
        discriminator_optimizer: called with the discriminator's parameters.
        lr: learning rate of both, by progress of the run.
        beta2: second-moment decay of both Adams, by progress; None leaves them as built.
        ema_half_life: in images; shorter at the start, see EMA.
        batch_size: real images per step (over all processes).
    """

    def __init__(
        self,
        generator: R3Generator,
        discriminator: R3Discriminator,
        loss: GANLoss,
        penalties: Mapping[str, Penalty],
        generator_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        discriminator_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        lr: Schedule,
        beta2: Schedule | None = None,
        ema_half_life: int = 500_000,
        batch_size: int = 64,
    ) -> None:
        super().__init__(generator.image, batch_size)
        self.generator, self.discriminator = generator, discriminator
        self.loss, self.penalties = loss, dict(penalties)
        self.ema = EMA(generator, ema_half_life)
        self.lr, self.beta2 = lr, beta2
        self._build = (discriminator_optimizer, generator_optimizer)

    def configure_optimizers(self) -> list[Optimizer]:
        build_discriminator, build_generator = self._build
        return [
            build_discriminator(self.discriminator.parameters()),
            build_generator(self.generator.parameters()),
        ]

    def sampler(self) -> Sampler:
        return GeneratorSampler(self.ema.average)

    def step(self, images: Tensor, labels: Tensor) -> None:
        real = to_float(images)
        discriminator_optimizer, generator_optimizer = self.optimizer_list()
        for optimizer in (discriminator_optimizer, generator_optimizer):
            set_hyperparameters(
                optimizer,
                lr=self.lr(self.clock.progress),
                beta2=None if self.beta2 is None else self.beta2(self.clock.progress),
            )
        z = self.noise(len(real), self.generator.z_dim)
        with self.autocast():
            fake = self.generator(z, labels)
        fake = fake.float()
        self._train_discriminator(real, fake.detach(), labels, discriminator_optimizer)
        self._train_generator(real, fake, labels, generator_optimizer)
        self.ema.update(self.generator, self.batch_size, self.clock.images_seen + self.batch_size)

    def _train_discriminator(
        self, real: Tensor, fake: Tensor, labels: Tensor, optimizer: LightningOptimizer
    ) -> None:
        number = self.clock.images_seen // self.batch_size
        due = {n: penalty for n, penalty in self.penalties.items() if number % penalty.every == 0}
        wanted = {inputs for penalty in due.values() for inputs in penalty.grad_inputs}
        real = real.detach().requires_grad_("real" in wanted)
        fake = fake.requires_grad_("fake" in wanted)
        with self.autocast():
            logits = self.discriminator(torch.cat([real, fake]), torch.cat([labels, labels]))
        step = CriticStep(real, fake, *logits.float().chunk(2))
        loss = self.loss.discriminator(step.real_logits, step.fake_logits).mean()
        self.losses["discriminator"] = loss.detach()
        for name, penalty in due.items():
            value = penalty(step).mean()
            self.losses[name] = value.detach()
            loss = loss + penalty.weight(self.clock.progress) * penalty.every * value
        self._step(optimizer, loss)

    def _train_generator(
        self, real: Tensor, fake: Tensor, labels: Tensor, optimizer: LightningOptimizer
    ) -> None:
        # Frozen: its own weight gradients would be computed here only to be thrown away.
        self.discriminator.requires_grad_(False)
        real_logits = None
        with self.autocast():
            if self.loss.pairs_real:
                with torch.no_grad():
                    real_logits = self.discriminator(real, labels).float()
            fake_logits = self.discriminator(fake, labels).float()
        loss = self.loss.generator(fake_logits, real_logits).mean()
        self._step(optimizer, loss)
        self.discriminator.requires_grad_(True)
        self.losses["generator"] = loss.detach()

    def _step(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        optimizer.step()
