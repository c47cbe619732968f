"""Transforms: image operations that need nothing but the image, a strength and a seed."""

from synthgen.transforms.attributes import Attribute
from synthgen.transforms.base import ImageRandom, SoloTransform, Transform
from synthgen.transforms.corruptions import CORRUPTIONS, Corruption
from synthgen.transforms.geometric import Affine, Elastic, Flip, Rotation
from synthgen.transforms.photometric import (
    Blur,
    Brightness,
    Contrast,
    CopyPaste,
    CutMix,
    Darkness,
    Fog,
    Hue,
    Mixup,
    Night,
    Occlusion,
    Pixelation,
    PixelNoise,
    Rain,
    Shade,
    Snow,
)

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
    "Shade",
    "Snow",
    "SoloTransform",
    "Transform",
]
