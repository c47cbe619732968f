"""File formats of a set: each turns shards of images into files."""

from synthgen.dataset.formats.arrays import HDF5, NPY, NPZ
from synthgen.dataset.formats.images import (
    JPEG,
    PNG,
    TIFF,
    Encoded,
    Format,
    ImageFiles,
    Shard,
    WebP,
)
from synthgen.dataset.formats.shards import Parquet, WebDataset

__all__ = [
    "HDF5",
    "JPEG",
    "NPY",
    "NPZ",
    "PNG",
    "TIFF",
    "Encoded",
    "Format",
    "ImageFiles",
    "Parquet",
    "Shard",
    "WebDataset",
    "WebP",
]
