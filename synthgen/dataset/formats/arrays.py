"""Formats that keep a shard's images as one array: npz, npy, HDF5."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np

from synthgen.dataset.formats.images import (
    Encoded,
    Format,
    Shard,
    channels_last,
    missing_package,
    pixel_digests,
)
from synthgen.types import ImageSpec

# NumPy's ``.npz``: one archive per shard.

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows


class NPZ(Format):
    """``images`` uint8 (N, H, W[, C]), ``labels`` int64 (N,), ``classes``, ``seeds`` int64 (N,; -1
    for real images) and ``synthetic`` bool (N,); uncompressed, so that it costs next to nothing."""

    name = "npz"

    def encode(self, shard: Shard) -> Encoded:
        arrays, path = arrays_of(shard), f"{shard.file}.npz"
        first = {name: arrays[name] for name in ("images", "labels")}
        content = write_npz({**first, "classes": np.array(shard.classes), **arrays})
        return encoded_as(path, content, arrays["images"])


def arrays_of(shard: Shard) -> dict[str, np.ndarray]:
    """What arrays are kept of a shard, all of ``N`` rows; a real image's seed is -1."""
    return {
        "images": channels_last(shard.images),
        "labels": np.array(shard.labels, dtype=np.int64),
        "seeds": np.array([-1 if seed is None else seed for seed in shard.seeds], dtype=np.int64),
        "synthetic": np.array([origin == "synthetic" for origin in shard.origins]),
    }


def encoded_as(path: str, content: bytes, pixels: np.ndarray) -> Encoded:
    """One file that holds all images of a shard."""
    return Encoded([(path, content)], [path] * len(pixels), pixel_digests(pixels))


def write_npz(arrays: dict[str, np.ndarray]) -> bytes:
    """As ``numpy.savez``, with a fixed time in place of today's."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", ZIP_EPOCH), npy_bytes(array))
    return buffer.getvalue()


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


# NumPy's ``.npy``: arrays that can be mapped into memory, one pair of files per shard.


class NPY(Format):
    """``<shard>.images.npy`` uint8 (N, H, W[, C]) and ``<shard>.labels.npy`` int64 (N,); which
    images are synthetic, and their seeds, stand in the manifest."""

    name = "npy"

    def encode(self, shard: Shard) -> Encoded:
        pixels = channels_last(shard.images)
        images, labels = f"{shard.file}.images.npy", f"{shard.file}.labels.npy"
        files = [
            (images, npy_bytes(pixels)),
            (labels, npy_bytes(np.array(shard.labels, dtype=np.int64))),
        ]
        return Encoded(files, [images] * len(pixels), pixel_digests(pixels))


# HDF5: one file per shard, with ``images``, ``labels``, ``seeds`` and ``synthetic``.


class HDF5(Format):
    """Contiguous and uncompressed, without times. The names of the classes are the attribute
    ``classes`` of ``labels``. Encoding holds the one lock that the library has, so shards queue.

    Needs h5py: pip install h5py.
    """

    name = "hdf5"

    def prepare(self, image: ImageSpec) -> None:
        _h5py()

    def encode(self, shard: Shard) -> Encoded:
        h5py = _h5py()
        arrays, path = arrays_of(shard), f"{shard.file}.h5"
        with h5py.File(path, "w", driver="core", backing_store=False, libver="v110") as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array, track_times=False)
            names = [name.encode() for name in shard.classes]
            file["labels"].attrs["classes"] = np.array(names, dtype=h5py.string_dtype())
            file.flush()
            content = file.id.get_file_image()
        return encoded_as(path, content, arrays["images"])


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise missing_package("h5py", "hdf5") from None
    return h5py
