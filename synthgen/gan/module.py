"""A conditional GAN: two networks, a loss, penalties, schedules. All of them are arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from synthgen.gan.adversarial import AdversarialLoss
from synthgen.gan.augmentations.base import Augmentation
from synthgen.gan.auxiliary import AuxiliaryClassifier
from synthgen.gan.compatibility import Parts, check_compatible
from synthgen.gan.losses import GANLoss
from synthgen.gan.penalties import Penalty
from synthgen.images import to_float
from synthgen.networks.base import Discriminator, Generator
from synthgen.progress import track
from synthgen.ranges import BatchSize, Count, Depth
from synthgen.samplers.base import Sampler
from synthgen.samplers.neural import GeneratorSampler
from synthgen.seeds import Stream, step_generator
from synthgen.training.module import EMA, GenerativeModule, StepTaker, set_hyperparameters
from synthgen.training.schedules import Beta, Rate
from synthgen.types import LabelledImages

# Running statistics of an averaged generator, which are not those of any generator it averages.


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
            random = step_generator(seed, Stream.STATISTICS, number)
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


class AdversarialModule(GenerativeModule):
    """Something that is trained beside a discriminator."""

    critic: AdversarialLoss
    lr: Rate
    discriminator_lr: Rate
    beta2: Beta | None = None

    def _schedule(self, own: StepTaker, discriminator: StepTaker) -> None:
        """Both optimizers' learning rates and beta2 as the schedules want them now."""
        progress = self.clock.progress
        beta2 = None if self.beta2 is None else self.beta2(progress)
        set_hyperparameters(own, lr=self.lr(progress), beta2=beta2)
        set_hyperparameters(discriminator, lr=self.discriminator_lr(progress), beta2=beta2)

    def _train_discriminator(
        self, real: Tensor, fake: Tensor, labels: Tensor, number: int, optimizer: StepTaker
    ) -> dict[str, Tensor]:
        """The discriminator's step ``number``; returns the parts of its loss."""
        random = self.random(Stream.CRITIC, number, 0)
        loss, parts = self.critic.discriminator_loss(
            real, fake, labels, number=number, progress=self.clock.progress, random=random
        )
        self.descend(optimizer, loss)
        return parts


class GAN(AdversarialModule):
    """One discriminator step per batch, and every ``discriminator_steps`` batches a generator step
    on the same generated images.

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

    Raises:
        ValueError: the parts can't be trained together; see compatibility.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        loss: GANLoss,
        penalties: Mapping[str, Penalty],
        generator_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        discriminator_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        lr: Rate,
        discriminator_lr: Rate | None = None,
        beta2: Beta | None = None,
        discriminator_steps: Depth = 1,
        augmentation: Augmentation | None = None,
        auxiliary: Callable[[int, int], AuxiliaryClassifier] | None = None,
        ema_half_life: Count = 500_000,
        batch_size: BatchSize = 64,
    ) -> None:
        super().__init__(generator.image, batch_size)
        if discriminator_steps < 1:
            raise ValueError(f"discriminator_steps must be at least 1, got {discriminator_steps}")
        sizes = (generator.image.num_classes, discriminator.feature_dim)
        classifier = None if auxiliary is None else auxiliary(*sizes)
        check_compatible(Parts(generator, discriminator, loss, penalties, augmentation, classifier))
        self.generator = generator
        self.critic = AdversarialLoss(
            discriminator, loss, penalties, augmentation, classifier, self.autocast
        )
        self.ema = EMA(generator, ema_half_life)
        self.lr, self.discriminator_lr, self.beta2 = lr, discriminator_lr or lr, beta2
        self.discriminator_steps = discriminator_steps
        self._build = (discriminator_optimizer, generator_optimizer)

    def configure_optimizers(self) -> list[Optimizer]:
        build_discriminator, build_generator = self._build
        return [
            build_discriminator(self.critic.parameters()),
            build_generator(self.generator.parameters()),
        ]

    def sampler(self) -> Sampler:
        return GeneratorSampler(self.ema.average)

    def compile_networks(self, mode: str) -> None:
        self.generator.compile(mode=mode)
        self.critic.compile_discriminator(mode)
        self.before_step = torch.compiler.cudagraph_mark_step_begin

    def finish(self, real: LabelledImages) -> Sampler:
        average = self.ema.average.to(self.training_device)
        recalibrate(average, self.shown_labels(real), self.run_seed)
        return self.sampler()

    def step(self, images: Tensor, labels: Tensor) -> None:
        real = to_float(images)
        number = self.clock.images_seen // self.batch_size
        generator_is_due = (number + 1) % self.discriminator_steps == 0
        discriminator_optimizer, generator_optimizer = self.optimizer_list()
        self._schedule(generator_optimizer, discriminator_optimizer)
        z = self.noise(len(real), self.generator.z_dim)
        with torch.set_grad_enabled(generator_is_due), self.autocast():
            fake = self.generator(z, labels)
        fake = fake.float()
        self.losses |= self._train_discriminator(
            real, fake.detach(), labels, number, discriminator_optimizer
        )
        if generator_is_due:
            self._train_generator(real, fake, labels, number, generator_optimizer)
            count = self.batch_size * self.discriminator_steps
            self.ema.update(self.generator, count, self.clock.images_seen + self.batch_size)

    def _train_generator(
        self, real: Tensor, fake: Tensor, labels: Tensor, number: int, optimizer: StepTaker
    ) -> None:
        random = self.random(Stream.CRITIC, number, 1)
        with self.critic.frozen():
            loss = self.critic.generator_loss(fake, real, labels, random)
            self.losses["generator"] = loss.detach()
            self.descend(optimizer, loss)
