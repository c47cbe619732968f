"""Augmentations of what the discriminator sees, real and generated alike."""

from synthgen.gan.augmentations.adaptive import AdaptiveAugment, FixedAugment
from synthgen.gan.augmentations.base import Augmentation
from synthgen.gan.augmentations.colour import Brightness, Contrast, Saturation
from synthgen.gan.augmentations.colour_maps import (
    ColourOperation,
    FlipLuma,
    RotateHue,
    ScaleContrast,
    ScaleSaturation,
    ShiftBrightness,
)
from synthgen.gan.augmentations.cutout import Cutout
from synthgen.gan.augmentations.diffaugment import DiffAugment, SizedDiffAugment
from synthgen.gan.augmentations.geometric import (
    AnisotropicScaling,
    FractionalTranslation,
    GeometricOperation,
    IntegerTranslation,
    IsotropicScaling,
    QuarterTurns,
    Rotation,
    XFlip,
)
from synthgen.gan.augmentations.scheduled import ScheduledAugment
from synthgen.gan.augmentations.signals import OverfittingSignal, SignOfPairs, SignOfReal
from synthgen.gan.augmentations.translation import Translation

__all__ = [
    "AdaptiveAugment",
    "AnisotropicScaling",
    "Augmentation",
    "Brightness",
    "ColourOperation",
    "Contrast",
    "Cutout",
    "DiffAugment",
    "FixedAugment",
    "FlipLuma",
    "FractionalTranslation",
    "GeometricOperation",
    "IntegerTranslation",
    "IsotropicScaling",
    "OverfittingSignal",
    "QuarterTurns",
    "RotateHue",
    "Rotation",
    "Saturation",
    "ScaleContrast",
    "ScaleSaturation",
    "ScheduledAugment",
    "ShiftBrightness",
    "SignOfPairs",
    "SignOfReal",
    "SizedDiffAugment",
    "Translation",
    "XFlip",
]
