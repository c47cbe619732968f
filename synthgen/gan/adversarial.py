"""A discriminator with all that belongs to its training: loss, penalties, augmentation, auxiliary
classifier."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from synthgen.gan.augmentations.base import Augmentation
from synthgen.gan.auxiliary import AuxiliaryClassifier
from synthgen.gan.losses import GANLoss
from synthgen.gan.penalties import CriticStep, GradientNorm, Penalty
from synthgen.networks.base import Discriminator
from synthgen.processes import Processes
from synthgen.seeds import BatchGenerator

log = logging.getLogger(__name__)


class AdversarialLoss(nn.Module):
    """What any model that learns from a discriminator shares with a GAN.

    Args:
        discriminator: images and labels to features and logits.
        loss: adversarial loss per logit.
        penalties: added to the discriminator's loss; their names are those in the log.
        augmentation: of all images whose logits are taken.
        auxiliary: a classifier on the discriminator's features, trained with it.
        autocast: the number format of the passes through the discriminator.
    """

    def __init__(
        self,
        discriminator: Discriminator,
        loss: GANLoss,
        penalties: Mapping[str, Penalty],
        augmentation: Augmentation | None = None,
        auxiliary: AuxiliaryClassifier | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        super().__init__()
        self.discriminator, self.augmentation = discriminator, augmentation
        self.auxiliary = auxiliary
        self.loss, self.penalties = loss, dict(penalties)
        # Those that keep something between steps are modules; so it is saved with the run.
        self.stateful = nn.ModuleDict(
            {name: one for name, one in self.penalties.items() if isinstance(one, nn.Module)}
        )
        self.processes = Processes()  # those that train it together
        self._autocast = autocast
        self._discriminator_features: Callable[[Tensor], Tensor] = discriminator.features

    def why_not_shared(self) -> str:
        """Why several processes can't train with it; empty: they can. A loss sees no processes, so
        it must be of one row's logits at a time."""
        logits, others = torch.tensor([0.5, -1.0]), torch.tensor([0.5, 2.0])
        for one in (self.loss.discriminator, self.loss.generator):
            if not torch.equal(one(logits, logits)[:1], one(others, others)[:1]):
                return f"has a loss ({type(self.loss).__name__}) that mixes the logits of a batch"
        return ""

    def compile_discriminator(self, mode: str) -> None:
        """By torch.compile, unless a penalty needs the gradient of a gradient, which compiled
        networks don't have."""
        twice = [
            name
            for name, one in self.penalties.items()
            if one.grad_inputs or isinstance(one, GradientNorm)
        ]
        if twice:
            log.info("The discriminator isn't compiled: %s needs second derivatives.", twice[0])
        else:
            self._discriminator_features = torch.compile(self.discriminator.features, mode=mode)

    def discriminator_loss(
        self,
        real: Tensor,
        fake: Tensor,
        labels: Tensor,
        *,
        number: int,
        progress: float,
        random: BatchGenerator,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss with its weighted penalties, and the parts of it for the log.

        ``real`` and ``fake`` are float32 ``(N, C, H, W)`` and both of the classes ``labels``;
        ``number`` counts discriminator steps, ``progress`` is that of the run.
        """
        if self.augmentation is not None:
            self.augmentation.advance(progress)
        due = {n: penalty for n, penalty in self.penalties.items() if number % penalty.every == 0}
        wanted = {inputs for penalty in due.values() for inputs in penalty.grad_inputs}
        real = real.detach().requires_grad_("real" in wanted)
        fake = fake.detach().requires_grad_("fake" in wanted)
        features = self._features_of_both(real, fake, random)
        step = self._step(real, fake, features, labels, random)
        loss = self.loss.discriminator(step.real_logits, step.fake_logits).mean()
        parts = {"discriminator": loss.detach()}
        for name, penalty in due.items():
            value = penalty(step).mean()
            parts[name] = value.detach()
            loss = loss + penalty.weight(progress) * penalty.every * value
        if self.auxiliary is not None:
            value = self.auxiliary.discriminator(*features, labels).mean()
            parts["auxiliary"] = value.detach()
            loss = loss + value
        if self.augmentation is not None:
            logits = step.real_logits.detach(), step.fake_logits.detach()
            self.augmentation.observe(*logits, images=len(real))
        return loss, parts

    def generator_loss(
        self, fake: Tensor, real: Tensor, labels: Tensor, random: BatchGenerator
    ) -> Tensor:
        """Mean loss of the generator, whose gradient flows to ``fake``; see :meth:`frozen`."""
        real_logits = None
        if self.loss.pairs_real:
            with torch.no_grad():
                real_logits = self.logits(real, labels, random)
        features = self.features(self._augmented(fake, random))
        loss = self.loss.generator(self.discriminator.logits(features, labels), real_logits).mean()
        if self.auxiliary is not None:
            loss = loss + self.auxiliary.generator(features, labels).mean()
        return loss

    def features(self, images: Tensor) -> Tensor:
        """float32 ``(N, F)``, without augmentation."""
        with self._autocast():
            return self._discriminator_features(images).float()

    def logits(self, images: Tensor, labels: Tensor, random: BatchGenerator) -> Tensor:
        """float32, one per image or per patch, of augmented images."""
        return self.discriminator.logits(self.features(self._augmented(images, random)), labels)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Its own weight gradients would be computed only to be thrown away."""
        self.requires_grad_(False)
        try:
            yield
        finally:
            self.requires_grad_(True)

    def _features_of_both(
        self, real: Tensor, fake: Tensor, random: BatchGenerator
    ) -> tuple[Tensor, Tensor]:
        """In one pass, unless a batch norm would then mix their statistics."""
        if any(isinstance(layer, _BatchNorm) for layer in self.discriminator.modules()):
            first, second = (self.features(self._augmented(one, random)) for one in (real, fake))
        else:
            with random.in_blocks(2):
                images = self._augmented(torch.cat([real, fake]), random)
            joint = self.features(images)
            first, second = joint.chunk(2)
        return first, second

    def _step(
        self,
        real: Tensor,
        fake: Tensor,
        features: tuple[Tensor, Tensor],
        labels: Tensor,
        random: BatchGenerator,
    ) -> CriticStep:
        return CriticStep(
            real=real,
            fake=fake,
            real_logits=self.discriminator.logits(features[0], labels),
            fake_logits=self.discriminator.logits(features[1], labels),
            labels=labels,
            critic=lambda images, classes: self.logits(images, classes, random),
            random=random,
            processes=self.processes,
        )

    def _augmented(self, images: Tensor, random: BatchGenerator) -> Tensor:
        return images if self.augmentation is None else self.augmentation(images, random)
