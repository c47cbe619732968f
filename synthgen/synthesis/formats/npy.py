"""NumPy's ``.npy``: arrays that can be mapped into memory, one pair of files per shard."""

from __future__ import annotations

import numpy as np

from synthgen.synthesis.formats.base import (
    Encoded,
    Format,
    Shard,
    channels_last,
    pixel_digests,
)
from synthgen.synthesis.formats.npz import npy_bytes


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
