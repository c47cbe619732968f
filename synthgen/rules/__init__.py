"""Rules: image operations that need nothing but the image, a strength and a seed."""

from synthgen.rules.attributes import Attribute
from synthgen.rules.base import Rule, SoloRule
from synthgen.rules.corruptions import CORRUPTIONS, Corruption
from synthgen.rules.geometric import Affine, Elastic, Flip, Rotation
from synthgen.rules.pairs import CopyPaste, CutMix, Mixup
from synthgen.rules.photometric import (
    Blur,
    Brightness,
    Contrast,
    Darkness,
    Hue,
    Occlusion,
    Pixelation,
    PixelNoise,
    Shade,
)
from synthgen.rules.randomness import ImageRandom
from synthgen.rules.weather import Fog, Night, Rain, Snow

__all__ = [
    "CORRUPTIONS",
    "Affine",
    "Attribute",
    "Blur",
    "Brightness",
    "Contrast",
    "CopyPaste",
    "Corruption",
    "CutMix",
    "Darkness",
    "Elastic",
    "Flip",
    "Fog",
    "Hue",
    "ImageRandom",
    "Mixup",
    "Night",
    "Occlusion",
    "PixelNoise",
    "Pixelation",
    "Rain",
    "Rotation",
    "Rule",
    "Shade",
    "Snow",
    "SoloRule",
]
