"""File formats of a set: each turns shards of images into files."""

from synthgen.synthesis.formats.base import Encoded, Format, ImageFiles, Shard
from synthgen.synthesis.formats.hdf5 import HDF5
from synthgen.synthesis.formats.jpeg import JPEG
from synthgen.synthesis.formats.npy import NPY
from synthgen.synthesis.formats.npz import NPZ
from synthgen.synthesis.formats.parquet import Parquet
from synthgen.synthesis.formats.png import PNG
from synthgen.synthesis.formats.webdataset import WebDataset
from synthgen.synthesis.formats.webp import WebP

__all__ = [
    "HDF5",
    "JPEG",
    "NPY",
    "NPZ",
    "PNG",
    "Encoded",
    "Format",
    "ImageFiles",
    "Parquet",
    "Shard",
    "WebDataset",
    "WebP",
]
