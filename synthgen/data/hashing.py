"""Content hashes: of one converted image, and of a whole set whatever its order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from torch import Tensor


def image_hashes(images: Tensor) -> list[str]:
    """SHA-256 (hex) of ``b"C,H,W"`` + the pixels of each uint8 image in ``(N, C, H, W)``."""
    shape = images.shape[1:]
    header = hashlib.sha256(",".join(str(side) for side in shape).encode())
    rows = images.flatten(1).contiguous().cpu().numpy()
    hashes = []
    for row in rows:
        state = header.copy()
        state.update(row)
        hashes.append(state.hexdigest())
    return hashes


def lines_digest(lines: Iterable[str]) -> str:
    """SHA-256 (hex) over the sorted lines: the same for any order, copies count."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
