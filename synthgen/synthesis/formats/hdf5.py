"""HDF5: one file per shard, with ``images``, ``labels``, ``seeds`` and ``synthetic``."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthgen.synthesis.formats.base import (
    Encoded,
    Format,
    Shard,
    channels_last,
    missing_package,
    pixel_digests,
)
from synthgen.types import ImageSpec


class HDF5(Format):
    """Contiguous and uncompressed, without times. The names of the classes are the attribute
    ``classes`` of ``labels``. Encoding holds the one lock that the library has, so shards queue."""

    name = "hdf5"

    def prepare(self, image: ImageSpec) -> None:
        _h5py()

    def encode(self, shard: Shard) -> Encoded:
        h5py = _h5py()
        pixels = channels_last(shard.images)
        seeds = np.array([-1 if seed is None else seed for seed in shard.seeds], dtype=np.int64)
        arrays = {
            "images": pixels,
            "labels": np.array(shard.labels, dtype=np.int64),
            "seeds": seeds,
            "synthetic": np.array([origin == "synthetic" for origin in shard.origins]),
        }
        path = f"{shard.file}.h5"
        with h5py.File(path, "w", driver="core", backing_store=False, libver="v110") as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array, track_times=False)
            names = [name.encode() for name in shard.classes]
            file["labels"].attrs["classes"] = np.array(names, dtype=h5py.string_dtype())
            file.flush()
            content = file.id.get_file_image()
        return Encoded([(path, content)], [path] * len(pixels), pixel_digests(pixels))


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise missing_package("h5py", "hdf5") from None
    return h5py
