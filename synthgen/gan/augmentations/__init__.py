"""Augmentations of what the discriminator sees, real and generated alike."""

from synthgen.gan.augmentations.base import Augmentation

__all__ = ["Augmentation"]
