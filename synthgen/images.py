"""The only two converters between stored pixels and network pixels, grids to look at, and
content hashes."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable

import torch
from PIL import Image
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [-1, 1]."""
    return images.to(torch.float32).mul_(2 / 255).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8 0..255; rounds to the nearest level, clamps what is outside."""
    return images.float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def grid(images: Tensor, columns: int | None = None, padding: int = 2) -> Tensor:
    """Lay uint8 ``(N, C, H, W)`` out as one uint8 ``(C, H', W')`` picture, row by row.

    ``columns`` defaults to the squarest layout. The gaps are mid-grey so that black and white
    images both show their edges.
    """
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    canvas = torch.full(
        (channels, rows * (height + padding) + padding, columns * (width + padding) + padding),
        128,
        dtype=torch.uint8,
    )
    for position, image in enumerate(images):
        top = padding + (position // columns) * (height + padding)
        left = padding + (position % columns) * (width + padding)
        canvas[:, top : top + height, left : left + width] = image
    return canvas


def to_pil(image: Tensor) -> Image.Image:
    """uint8 ``(C, H, W)`` with 1 or 3 channels -> a PIL image of mode L or RGB."""
    if image.shape[0] == 1:
        return Image.fromarray(image[0].contiguous().numpy())
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def encode_png(image: Tensor, compress_level: int = 1) -> bytes:
    """uint8 ``(C, H, W)`` -> PNG bytes; level 1 is about as small as the default for tiny images
    and several times faster."""
    buffer = io.BytesIO()
    to_pil(image).save(buffer, format="PNG", compress_level=compress_level)
    return buffer.getvalue()


# Content hashes: of one converted image, and of a whole set whatever its order.


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
