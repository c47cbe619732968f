"""The only converters between stored pixels, network pixels and what people look at; grids, and
content hashes."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable, Sequence

import torch
from PIL import Image
from torch import Tensor

TOP = {8: 255, 16: 65535}  # the highest level of so many bits


def top_of(images: Tensor) -> int:
    """The highest level of uint8 or uint16 images."""
    return TOP[16] if images.dtype == torch.uint16 else TOP[8]


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 or uint16 0..65535 -> float32 in [-1, 1]."""
    return images.to(torch.float32).mul_(2 / top_of(images)).sub_(1)


def to_levels(images: Tensor, bits: int) -> Tensor:
    """Float in [-1, 1] -> uint8 or uint16, by ``bits`` (8 or 16); rounds to the nearest level,
    clamps what is outside."""
    whole = images.float().add(1).mul_(TOP[bits] / 2).round_().clamp_(0, TOP[bits])
    return whole.to(torch.uint8) if bits == 8 else whole.to(torch.int32).to(torch.uint16)


def to_uint8(images: Tensor) -> Tensor:
    """:func:`to_levels` of 8 bits."""
    return to_levels(images, 8)


def to_255(images: Tensor) -> Tensor:
    """uint8 or uint16 -> float32 in 0..255, with the levels in between."""
    pixels = images.float()
    return pixels.mul_(TOP[8] / TOP[16]) if images.dtype == torch.uint16 else pixels


def from_255(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """The inverse of :func:`to_255` for uint8 or uint16; changes ``pixels``."""
    if dtype == torch.uint8:
        return pixels.round_().clamp_(0, 255).to(torch.uint8)
    whole = pixels.mul_(TOP[16] / TOP[8]).round_().clamp_(0, TOP[16])
    return whole.to(torch.int32).to(torch.uint16)


def eight_bits(images: Tensor) -> Tensor:
    """uint8 or uint16 -> uint8; the same tensor where nothing changes."""
    if images.dtype == torch.uint8:
        return images
    return from_255(to_255(images), torch.uint8)


def bands_shown(channels: int, view: Sequence[int] | None = None) -> tuple[int, ...]:
    """The channels that pictures show: those of ``view``, or the first three, or the first."""
    if view is not None:
        return tuple(view)
    return (0, 1, 2) if channels >= 3 else (0,)


def as_pictures(
    images: Tensor,
    view: Sequence[int] | None = None,
    shown: tuple[int, int] | None = None,
) -> Tensor:
    """What people look at: uint8 ``(N, 1, H, W)`` or ``(N, 3, H, W)`` of uint8 or uint16 images
    ``(N, C, H, W)``; the same tensor where nothing changes. ``view`` and ``shown``: see
    :class:`synthgen.types.ImageSpec`."""
    if view is not None or images.shape[1] not in (1, 3):
        images = images[:, list(bands_shown(images.shape[1], view))]
    return eight_bits(images) if shown is None else between(images, shown)


def between(images: Tensor, shown: tuple[int, int]) -> Tensor:
    """uint8 or uint16 -> uint8: the level ``shown[0]`` and those below become black, ``shown[1]``
    and those above white."""
    low, high = shown
    pixels = images.float().sub_(low).mul_(TOP[8] / (high - low))
    return pixels.round_().clamp_(0, TOP[8]).to(torch.uint8)


def put(images: Tensor, rows: Tensor, drawn: Tensor) -> None:
    """``images[rows] = drawn`` on the CPU, which torch can't do for uint16."""
    images.numpy()[rows.numpy()] = drawn.numpy()


def grid(images: Tensor, columns: int | None = None, padding: int = 2) -> Tensor:
    """Lay uint8 ``(N, C, H, W)`` out as one uint8 ``(C, H', W')`` picture, row by row; other images
    as :func:`as_pictures` has them.

    ``columns`` defaults to the squarest layout. The gaps are mid-grey so that black and white
    images both show their edges.
    """
    images = as_pictures(images)
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
    """uint8 ``(C, H, W)`` with 1 or 3 channels -> a PIL image of mode L or RGB; other images as
    :func:`as_pictures` has them."""
    image = as_pictures(image[None])[0]
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
    """SHA-256 (hex) of ``b"C,H,W"`` + the pixels of each image in ``(N, C, H, W)``, of any type and
    little-endian."""
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
