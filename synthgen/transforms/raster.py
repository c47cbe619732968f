"""Drawing by signed distance: how far each pixel's centre lies from a shape, negative inside.

Coordinates: x to the right and y down, in units of the image's shorter side, from the upper left
corner. All functions work elementwise, so a picture is the same in every batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

NUMBERS_AT_A_TIME = 2**19  # bounds the memory of intermediate results; does not change them


def pixel_centres(height: int, width: int) -> tuple[Tensor, Tensor]:
    """x ``(1, W)`` and y ``(H, 1)`` of the pixels."""
    unit = min(height, width)
    x = (torch.arange(width, dtype=torch.float32) + 0.5) / unit
    y = (torch.arange(height, dtype=torch.float32) + 0.5) / unit
    return x[None, :], y[:, None]


def canvas(images: Tensor) -> tuple[Tensor, Tensor, float, float]:
    """:func:`pixel_centres` of images ``(N, C, H, W)``, and their right and lower ends."""
    height, width = images.shape[-2:]
    unit = min(height, width)
    return *pixel_centres(height, width), width / unit, height / unit


def segment_distance(start: Tensor, end: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``(N, 2)`` ends of one segment per image -> ``(N, H, W)`` distance to it, at least 0."""
    return nearest_segment(start[:, None], end[:, None], x, y)


def nearest_segment(start: Tensor, end: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``(N, S, 2)`` ends of S segments -> ``(N, H, W)`` distance to the nearest, at least 0."""
    pixels = len(start) * x.numel() * y.numel()
    size = max(1, NUMBERS_AT_A_TIME // max(1, pixels))
    nearest: Tensor | None = None
    for ends in zip(start.split(size, dim=1), end.split(size, dim=1), strict=True):
        squared = _squared_distances(*ends, x, y).amin(dim=1)
        nearest = squared if nearest is None else torch.minimum(nearest, squared)
    if nearest is None:
        raise ValueError("there must be at least one segment")
    return nearest.sqrt_()


def _squared_distances(start: Tensor, end: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``(N, S, H, W)``."""
    ax, ay = start[..., 0, None, None], start[..., 1, None, None]
    dx, dy = end[..., 0, None, None] - ax, end[..., 1, None, None] - ay
    length = (dx * dx + dy * dy).clamp_min(1e-12)
    px, py = x - ax, y - ay  # (N, S, 1, W) and (N, S, H, 1)
    along = (px * (dx / length) + py * (dy / length)).clamp_(0, 1)
    return (px - along * dx).square_().add_((py - along * dy).square_())


def polygon_distance(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``(N, P, 2)`` corners of a closed polygon -> ``(N, H, W)`` signed distance, even-odd."""
    following = corners.roll(-1, dims=1)
    distance = nearest_segment(corners, following, x, y)
    inside = torch.zeros_like(distance, dtype=torch.bool)
    for a, b in zip(corners.unbind(1), following.unbind(1), strict=True):
        ax, ay, bx, by = (value[:, None, None] for value in (*a.unbind(1), *b.unbind(1)))
        height = torch.where(by == ay, torch.ones(()), by - ay)
        crosses = (ay > y) != (by > y)  # (N, H, 1): does this row's line meet the edge
        inside ^= crosses & (x < ax + (y - ay) * ((bx - ax) / height))
    return torch.where(inside, -distance, distance)


def coverage(distance: Tensor, pixel: float) -> Tensor:
    """Share of each pixel that lies inside, from a signed distance; ``pixel`` is a pixel's side."""
    return (0.5 - distance / pixel).clamp_(0, 1)
