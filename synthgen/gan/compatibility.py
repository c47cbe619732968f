"""What can't be trained together: refused when a GAN is built, with a sentence for the person."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm

from synthgen.gan.augmentations import AdaptiveAugment, Augmentation, FixedAugment
from synthgen.gan.auxiliary import AuxiliaryClassifier
from synthgen.gan.losses import GANLoss, LeastSquares, Wasserstein
from synthgen.gan.penalties import R1, R2, GradientNorm, LeCam, Penalty
from synthgen.networks.base import Discriminator, Generator
from synthgen.networks.blocks import Unconditional
from synthgen.networks.spectral import SpectralNorm

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """All that a GAN is made of, with the questions that the rules ask."""

    generator: Generator
    discriminator: Discriminator
    loss: GANLoss
    penalties: Mapping[str, Penalty]
    augmentation: Augmentation | None
    auxiliary: AuxiliaryClassifier | None

    def has_penalty(self, *kinds: type) -> bool:
        return any(isinstance(penalty, kinds) for penalty in self.penalties.values())

    def has_layer(self, *kinds: type[nn.Module]) -> bool:
        return any(isinstance(layer, kinds) for layer in self.discriminator.modules())

    @property
    def penalises_gradients(self) -> bool:
        asking = any(penalty.grad_inputs for penalty in self.penalties.values())
        return asking or self.has_penalty(GradientNorm)

    @property
    def slope_is_bounded(self) -> bool:
        """LeCam bounds the logits instead, which serves as well (Tseng et al. 2021, prop. 1)."""
        held = self.penalises_gradients or self.has_penalty(LeCam)
        return held or self.has_layer(SpectralNorm, _SpectralNorm)

    @property
    def follows_absolute_logits(self) -> bool:
        if not isinstance(self.augmentation, AdaptiveAugment):
            return False
        return self.augmentation.signal.needs_absolute_logits

    @property
    def maps_colours(self) -> bool:
        return isinstance(self.augmentation, FixedAugment) and bool(self.augmentation.colours)

    @property
    def projects_classes(self) -> bool:
        classes = self.discriminator.image.num_classes
        tables = (one for one in self.discriminator.modules() if isinstance(one, nn.Embedding))
        return any(table.num_embeddings == classes for table in tables)

    @property
    def ignores_classes(self) -> bool:
        unconditional = any(type(one) is Unconditional for one in self.discriminator.modules())
        return unconditional and not self.projects_classes and self.auxiliary is None


RULES: tuple[tuple[Callable[[Parts], bool], str], ...] = (
    (
        lambda parts: parts.generator.image != parts.discriminator.image,
        "generator and discriminator were built for images of different sizes or classes",
    ),
    (
        lambda parts: any(penalty.every < 1 for penalty in parts.penalties.values()),
        "a penalty's 'every' must be at least 1",
    ),
    (
        lambda parts: any(
            set(penalty.grad_inputs) - {"real", "fake"} for penalty in parts.penalties.values()
        ),
        "a penalty's grad_inputs may name 'real' and 'fake' only: those are the images of a step",
    ),
    (
        lambda parts: isinstance(parts.loss, Wasserstein) and not parts.slope_is_bounded,
        "the Wasserstein loss has no minimum unless the discriminator's slope is bounded: add the "
        "penalty wgan_gp, or take a discriminator with spectral norm",
    ),
    (
        lambda parts: parts.penalises_gradients and parts.has_layer(_BatchNorm),
        "a gradient penalty takes the gradient of one image's logit, which batch norm in the "
        "discriminator makes depend on all others: leave one of them out",
    ),
    (
        lambda parts: parts.has_penalty(R1, R2) and parts.has_penalty(GradientNorm),
        "R1 and R2 want the discriminator's slope to be 0, WGAN-GP and DRAGAN want 1: take one",
    ),
    (
        lambda parts: parts.loss.pairs_real and parts.has_penalty(LeCam),
        "LeCam holds logits near a level, and a relativistic loss knows differences only: take "
        "another loss, such as hinge or non_saturating",
    ),
    (
        lambda parts: parts.auxiliary is not None and parts.generator.image.num_classes < 2,
        "an auxiliary classifier needs at least two classes",
    ),
    (
        lambda parts: parts.ignores_classes and parts.generator.image.num_classes > 1,
        "the discriminator doesn't look at the classes, so neither would the generator: give it "
        "an auxiliary classifier (gan/auxiliary@model.auxiliary=ac_gan) or a projection head",
    ),
    (
        lambda parts: (
            parts.follows_absolute_logits
            and (parts.loss.pairs_real or isinstance(parts.loss, Wasserstein | LeastSquares))
        ),
        "the augmentation's signal reads the sign of a logit, which only hinge and non_saturating "
        "put between real and generated: let it compare pairs, "
        "model.augmentation.signal._target_=synthgen.gan.augmentations.SignOfPairs",
    ),
    (
        lambda parts: parts.maps_colours and parts.discriminator.image.channels not in (1, 3),
        "the augmentation changes colours, which only images of 1 or 3 channels have: switch "
        "brightness, contrast, luma_flip, hue and saturation off, as in ada_no_flip",
    ),
)


def require_per_logit(loss: GANLoss) -> None:
    """A mean in place of a value per logit would train something else without a word.

    Raises:
        ValueError: ``loss`` doesn't say ``pairs_real``, or gives another shape than its logits'.
    """
    name, logits = type(loss).__name__, torch.zeros(3)
    if not isinstance(getattr(loss, "pairs_real", None), bool):
        raise ValueError(f"the loss {name} must say pairs_real = True or pairs_real = False")
    found = {
        "discriminator": loss.discriminator(logits, logits),
        "generator": loss.generator(logits, logits if loss.pairs_real else None),
    }
    for part, values in found.items():
        if values.shape != logits.shape:
            raise ValueError(
                f"{name}.{part} gave the shape {tuple(values.shape)} for {len(logits)} logits: it "
                "must give one value per logit, and takes no mean"
            )


def check_compatible(parts: Parts) -> None:
    """Raises ValueError with a sentence for the first rule that ``parts`` break."""
    require_per_logit(parts.loss)
    for broken, sentence in RULES:
        if broken(parts):
            raise ValueError(sentence)
    if parts.auxiliary is not None and parts.projects_classes:
        log.info(
            "The discriminator judges the class twice, by its projection and by %s; a "
            "discriminator with an unconditional head leaves it to the latter.",
            type(parts.auxiliary).__name__,
        )
