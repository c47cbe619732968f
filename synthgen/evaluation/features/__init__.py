"""Feature spaces in which sets of images are compared."""

from synthgen.evaluation.features.base import Extractor
from synthgen.evaluation.features.classifier import ClassifierExtractor
from synthgen.evaluation.features.clip import CLIPExtractor
from synthgen.evaluation.features.dinov2 import DINOv2Extractor
from synthgen.evaluation.features.inception import InceptionExtractor
from synthgen.evaluation.features.module import ModuleExtractor
from synthgen.evaluation.features.network import NetworkExtractor
from synthgen.evaluation.features.pixels import PixelExtractor
from synthgen.evaluation.features.timm_model import TimmExtractor
from synthgen.evaluation.features.torchvision_model import TorchvisionExtractor

__all__ = [
    "CLIPExtractor",
    "ClassifierExtractor",
    "DINOv2Extractor",
    "Extractor",
    "InceptionExtractor",
    "ModuleExtractor",
    "NetworkExtractor",
    "PixelExtractor",
    "TimmExtractor",
    "TorchvisionExtractor",
]
