"""NumPy's ``.npz``: one archive per shard."""

from __future__ import annotations

import io
import zipfile

import numpy as np

from synthgen.synthesis.formats.base import (
    Encoded,
    Format,
    Shard,
    channels_last,
    pixel_digests,
)

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows


class NPZ(Format):
    """``images`` uint8 (N, H, W[, C]), ``labels`` int64 (N,), ``classes``, ``seeds`` int64 (N,; -1
    for real images) and ``synthetic`` bool (N,); uncompressed, so that it costs next to nothing."""

    name = "npz"

    def encode(self, shard: Shard) -> Encoded:
        pixels = channels_last(shard.images)
        path = f"{shard.file}.npz"
        content = write_npz(
            {
                "images": pixels,
                "labels": np.array(shard.labels, dtype=np.int64),
                "classes": np.array(shard.classes),
                "seeds": np.array([-1 if s is None else s for s in shard.seeds], dtype=np.int64),
                "synthetic": np.array([origin == "synthetic" for origin in shard.origins]),
            }
        )
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
