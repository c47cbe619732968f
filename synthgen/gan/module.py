"""A conditional GAN: two networks, a loss, penalties, schedules. All of them are arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from synthgen.gan.augmentations.base import Augmentation
from synthgen.gan.auxiliary import AuxiliaryClassifier
from synthgen.gan.batch_norm import recalibrate
from synthgen.gan.compatibility import Parts, refuse_senseless
from synthgen.gan.losses.base import GANLoss
from synthgen.gan.penalties.base import CriticStep, Penalty
from synthgen.images import to_float
from synthgen.networks.base import Discriminator, Generator
from synthgen.samplers.base import Sampler
from synthgen.samplers.neural import GeneratorSampler
from synthgen.seeds import step_generator
from synthgen.training.ema import EMA
from synthgen.training.module import GenerativeModule, set_hyperparameters
from synthgen.training.schedules import Schedule
from synthgen.types import LabelledImages

CRITIC = 3  # the stream of random numbers of augmentations and penalties


class GAN(GenerativeModule):
    """One discriminator step per batch, and a generator step on the same generated images.

    Args:
        generator: latents and labels to images; its average over the run is what is used.
        discriminator: images and labels to features and logits.
        loss: adversarial loss per image.
        penalties: added to the discriminator's loss; their names are those in the log.
        generator_optimizer: called with the generator's parameters.
        discriminator_optimizer: called with those of discriminator and auxiliary classifier.
        lr: learning rate of both, by progress of the run.
        discriminator_lr: that of the discriminator, where it differs.
        beta2: second-moment decay of both Adams, by progress; None leaves them as built.
        discriminator_steps: discriminator steps per generator step.
        augmentation: of all images that the discriminator sees.
        auxiliary: called with (number of classes, length of the discriminator's features).
        ema_half_life: in images; shorter at the start, see EMA.
        batch_size: real images per discriminator step (over all processes).

    Raises ValueError for parts that can't be trained together; see compatibility.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        loss: GANLoss,
        penalties: Mapping[str, Penalty],
        generator_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        discriminator_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        lr: Schedule,
        discriminator_lr: Schedule | None = None,
        beta2: Schedule | None = None,
        discriminator_steps: int = 1,
        augmentation: Augmentation | None = None,
        auxiliary: Callable[[int, int], AuxiliaryClassifier] | None = None,
        ema_half_life: int = 500_000,
        batch_size: int = 64,
    ) -> None:
        super().__init__(generator.image, batch_size)
        if discriminator_steps < 1:
            raise ValueError(f"discriminator_steps must be at least 1, got {discriminator_steps}")
        self.generator, self.discriminator = generator, discriminator
        self.loss, self.penalties = loss, dict(penalties)
        # Those that keep something between steps are modules; so it is saved with the run.
        self.stateful = nn.ModuleDict(
            {name: one for name, one in self.penalties.items() if isinstance(one, nn.Module)}
        )
        self.augmentation = augmentation
        sizes = (generator.image.num_classes, discriminator.feature_dim)
        self.auxiliary = None if auxiliary is None else auxiliary(*sizes)
        refuse_senseless(
            Parts(generator, discriminator, loss, self.penalties, augmentation, self.auxiliary)
        )
        self.ema = EMA(generator, ema_half_life)
        self.lr, self.discriminator_lr, self.beta2 = lr, discriminator_lr or lr, beta2
        self.discriminator_steps = discriminator_steps
        self._build = (discriminator_optimizer, generator_optimizer)

    def configure_optimizers(self) -> list[Optimizer]:
        build_discriminator, build_generator = self._build
        return [
            build_discriminator(self._critic_parameters()),
            build_generator(self.generator.parameters()),
        ]

    def sampler(self) -> Sampler:
        return GeneratorSampler(self.ema.average)

    def finish(self, real: LabelledImages) -> Sampler:
        recalibrate(self.ema.average, real.labels, self.run_seed)
        return self.sampler()

    def step(self, images: Tensor, labels: Tensor) -> None:
        real = to_float(images)
        number = self.clock.images_seen // self.batch_size
        generator_is_due = (number + 1) % self.discriminator_steps == 0
        discriminator_optimizer, generator_optimizer = self._scheduled_optimizers()
        z = self.noise(len(real), self.generator.z_dim)
        with torch.set_grad_enabled(generator_is_due), self.autocast():
            fake = self.generator(z, labels)
        fake = fake.float()
        self._train_discriminator(real, fake.detach(), labels, number, discriminator_optimizer)
        if generator_is_due:
            self._train_generator(real, fake, labels, number, generator_optimizer)
            count = self.batch_size * self.discriminator_steps
            self.ema.update(self.generator, count, self.clock.images_seen + self.batch_size)

    def _train_discriminator(
        self, real: Tensor, fake: Tensor, labels: Tensor, number: int, optimizer: LightningOptimizer
    ) -> None:
        random = step_generator(self.run_seed, CRITIC, number, 0)
        due = {n: penalty for n, penalty in self.penalties.items() if number % penalty.every == 0}
        wanted = {inputs for penalty in due.values() for inputs in penalty.grad_inputs}
        real = real.detach().requires_grad_("real" in wanted)
        fake = fake.requires_grad_("fake" in wanted)
        real_features, fake_features = self._features(real, fake, random)
        step = CriticStep(
            real=real,
            fake=fake,
            real_logits=self.discriminator.logits(real_features, labels),
            fake_logits=self.discriminator.logits(fake_features, labels),
            labels=labels,
            critic=lambda images, classes: self._logits(images, classes, random),
            random=random,
        )
        loss = self.loss.discriminator(step.real_logits, step.fake_logits).mean()
        self.losses["discriminator"] = loss.detach()
        for name, penalty in due.items():
            value = penalty(step).mean()
            self.losses[name] = value.detach()
            loss = loss + penalty.weight(self.clock.progress) * penalty.every * value
        if self.auxiliary is not None:
            value = self.auxiliary.discriminator(real_features, fake_features, labels).mean()
            self.losses["auxiliary"] = value.detach()
            loss = loss + value
        self._step(optimizer, loss)
        if self.augmentation is not None:
            self.augmentation.observe(step.real_logits.detach(), step.fake_logits.detach())

    def _train_generator(
        self, real: Tensor, fake: Tensor, labels: Tensor, number: int, optimizer: LightningOptimizer
    ) -> None:
        random = step_generator(self.run_seed, CRITIC, number, 1)
        # Frozen: its own weight gradients would be computed here only to be thrown away.
        for parameter in self._critic_parameters():
            parameter.requires_grad_(False)
        real_logits = None
        if self.loss.pairs_real:
            with torch.no_grad():
                real_logits = self._logits(real, labels, random)
        features = self._one_batch(fake, random)
        fake_logits = self.discriminator.logits(features, labels)
        loss = self.loss.generator(fake_logits, real_logits).mean()
        self.losses["generator"] = loss.detach()
        if self.auxiliary is not None:
            loss = loss + self.auxiliary.generator(features, labels).mean()
        self._step(optimizer, loss)
        for parameter in self._critic_parameters():
            parameter.requires_grad_(True)

    def _features(
        self, real: Tensor, fake: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Of both in one pass, unless a batch norm would then mix their statistics."""
        if any(isinstance(layer, _BatchNorm) for layer in self.discriminator.modules()):
            return self._one_batch(real, random), self._one_batch(fake, random)
        both = self._one_batch(torch.cat([real, fake]), random)
        first, second = both.chunk(2)
        return first, second

    def _one_batch(self, images: Tensor, random: torch.Generator) -> Tensor:
        if self.augmentation is not None:
            images = self.augmentation(images, random)
        with self.autocast():
            return self.discriminator.features(images).float()

    def _logits(self, images: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
        return self.discriminator.logits(self._one_batch(images, random), labels)

    def _critic_parameters(self) -> list[nn.Parameter]:
        more = [] if self.auxiliary is None else list(self.auxiliary.parameters())
        return [*self.discriminator.parameters(), *more]

    def _scheduled_optimizers(self) -> tuple[LightningOptimizer, LightningOptimizer]:
        discriminator, generator = self.optimizer_list()
        progress = self.clock.progress
        beta2 = None if self.beta2 is None else self.beta2(progress)
        set_hyperparameters(discriminator, lr=self.discriminator_lr(progress), beta2=beta2)
        set_hyperparameters(generator, lr=self.lr(progress), beta2=beta2)
        return discriminator, generator

    def _step(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        optimizer.step()
