"""Where real images come from, and how they are divided."""

from synthgen.data.arrays import Arrays, ArraySource
from synthgen.data.check import CheckResult, Finding, check, heading, tables, write_check
from synthgen.data.choosing import for_choosing
from synthgen.data.cifar10 import CIFAR10
from synthgen.data.digits import Digits
from synthgen.data.files import FileSource, Listing
from synthgen.data.folder import ImageFolder
from synthgen.data.hashing import image_hashes, lines_digest
from synthgen.data.mnist import MNIST, FashionMNIST
from synthgen.data.npz import NPZ, MedMNIST
from synthgen.data.source import Records, Source
from synthgen.data.splits import Splits, prepare, rebuild, write_split
from synthgen.data.synthetic import Synthetic, SyntheticSet, read_synthetic
from synthgen.data.table import CSV

__all__ = [
    "CIFAR10",
    "CSV",
    "MNIST",
    "NPZ",
    "ArraySource",
    "Arrays",
    "CheckResult",
    "Digits",
    "FashionMNIST",
    "FileSource",
    "Finding",
    "ImageFolder",
    "Listing",
    "MedMNIST",
    "Records",
    "Source",
    "Splits",
    "Synthetic",
    "SyntheticSet",
    "check",
    "for_choosing",
    "heading",
    "image_hashes",
    "lines_digest",
    "prepare",
    "read_synthetic",
    "rebuild",
    "tables",
    "write_check",
    "write_split",
]
