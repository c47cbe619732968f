"""Where real images come from, and how they are divided."""

from synthgen.data.arrays import (
    CIFAR10,
    MNIST,
    Arrays,
    ArraySource,
    Digits,
    FashionMNIST,
)
from synthgen.data.checks.check import CheckResult, Finding, check, heading, tables
from synthgen.data.checks.page import write_check
from synthgen.data.dicom import DICOMFolder
from synthgen.data.divide import held_in_memory, prepare, rebuild
from synthgen.data.files import FileSource, Listing
from synthgen.data.folders.folder import ImageFolder
from synthgen.data.medmnist import MedMNIST
from synthgen.data.npz import NPZ
from synthgen.data.source import Records, Source
from synthgen.data.splits import Splits, for_choosing, write_split
from synthgen.data.stream.images import in_memory
from synthgen.data.stream.source import ImageStream
from synthgen.data.tabular.hugging_face import HuggingFace
from synthgen.data.tabular.table import CSV
from synthgen.data.tabular.webdataset import WebDataset
from synthgen.images import image_hashes, lines_digest

__all__ = [
    "CIFAR10",
    "CSV",
    "MNIST",
    "NPZ",
    "ArraySource",
    "Arrays",
    "CheckResult",
    "DICOMFolder",
    "Digits",
    "FashionMNIST",
    "FileSource",
    "Finding",
    "HuggingFace",
    "ImageFolder",
    "ImageStream",
    "Listing",
    "MedMNIST",
    "Records",
    "Source",
    "Splits",
    "WebDataset",
    "check",
    "for_choosing",
    "heading",
    "held_in_memory",
    "image_hashes",
    "in_memory",
    "lines_digest",
    "prepare",
    "rebuild",
    "tables",
    "write_check",
    "write_split",
]
