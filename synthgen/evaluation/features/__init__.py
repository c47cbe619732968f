"""Feature spaces in which sets of images are compared."""

from synthgen.evaluation.features.base import Extractor, PixelExtractor
from synthgen.evaluation.features.inception import InceptionExtractor
from synthgen.evaluation.features.network import ModuleExtractor, NetworkExtractor
from synthgen.evaluation.features.pretrained import (
    CLIPExtractor,
    DINOv2Extractor,
    TimmExtractor,
    TorchvisionExtractor,
)

__all__ = [
    "CLIPExtractor",
    "DINOv2Extractor",
    "Extractor",
    "InceptionExtractor",
    "ModuleExtractor",
    "NetworkExtractor",
    "PixelExtractor",
    "TimmExtractor",
    "TorchvisionExtractor",
]
