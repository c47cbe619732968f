"""Transforms that move pixels, and the smooth random fields that some follow."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgen.transforms.base import ImageRandom, SoloTransform, per_image
from synthgen.transforms.raster import canvas, pixel_centres


def smooth_noise(random: ImageRandom, height: int, width: int, cells: tuple[int, ...]) -> Tensor:
    """float32 ``(N, H, W)`` in [0, 1): value noise, random grids of ``cells`` by ``cells`` knots
    enlarged bilinearly, each octave half as strong as the one before."""
    total = torch.zeros(len(random), height, width)
    weight, weights = 1.0, 0.0
    for count in cells:
        knots = random.uniform(count * count).view(-1, count, count)
        total += weight * _enlarged(_enlarged(knots, height, 1), width, 2)
        weights, weight = weights + weight, weight / 2
    return total / weights


def _enlarged(field: Tensor, size: int, dimension: int) -> Tensor:
    """Linear interpolation along one dimension, from the first knot to the last. By plain products,
    whose rounding is the same in every batch, which a library's kernel doesn't promise."""
    position = torch.linspace(0, field.shape[dimension] - 1, size)
    lower = position.long().clamp_max(field.shape[dimension] - 2)
    share = (position - lower).view(-1, 1) if dimension == 1 else position - lower
    below = field.index_select(dimension, lower)
    above = field.index_select(dimension, lower + 1)
    return below + (above - below) * share


# Rules that move pixels. What comes from outside the image repeats its edge.

LARGEST_ANGLE = math.radians(45)
ELASTIC_SHIFT = 0.15  # of the shorter side, at strength 1


def warped(images: Tensor, source_x: Tensor, source_y: Tensor) -> Tensor:
    """Each pixel taken bilinearly from ``(N, H, W)`` positions, in units of the shorter side."""
    height, width = images.shape[-2:]
    unit = min(height, width)
    grid = torch.stack([2 * source_x * unit / width - 1, 2 * source_y * unit / height - 1], dim=3)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def turned(images: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """Images under an affine map about their centre: ``(N, 2, 2)`` from the result's coordinates
    to the source's, and ``(N, 2)`` to be added."""
    x, y, right, bottom = canvas(images)
    centre_x, centre_y = right / 2, bottom / 2
    x, y = x - centre_x, y - centre_y
    a, b, c, d = matrix.flatten(1)[:, :, None, None].unbind(1)
    to_x, to_y = shift[:, :, None, None].unbind(1)
    return warped(images, a * x + b * y + to_x + centre_x, c * x + d * y + to_y + centre_y)


def rotation_matrix(angle: Tensor) -> Tensor:
    """``(N,)`` radians -> ``(N, 2, 2)``."""
    cos, sin = angle.double().cos().float(), angle.double().sin().float()
    return torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], dim=1)


class Rotation(SoloTransform):
    """Rotation by exactly ``strength`` times 45 degrees, to the left or to the right."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        side = torch.where(random.uniform(1)[:, 0] < 0.5, -1.0, 1.0)
        matrix = rotation_matrix(side * strength * LARGEST_ANGLE)
        return turned(images, matrix, torch.zeros(len(images), 2))


class Affine(SoloTransform):
    """Rotation, shear, scale and shift at once, each drawn uniformly up to ``strength`` times 45
    degrees, 0.5, 1.5-fold and a quarter of the shorter side."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        draws = (2 * random.uniform(6) - 1) * strength[:, None]
        angle, shear, scale_x, scale_y = draws[:, :4].unbind(1)
        shape = torch.zeros(len(images), 2, 2)
        shape[:, 0, 0], shape[:, 1, 1] = 1.5 ** scale_x.double(), 1.5 ** scale_y.double()
        shape[:, 0, 1] = 0.5 * shear
        turn = rotation_matrix(angle * LARGEST_ANGLE)
        matrix = (turn[:, :, :, None] * shape[:, None]).sum(dim=2)  # of two matrices
        return turned(images, matrix, 0.25 * draws[:, 4:])


class Elastic(SoloTransform):
    """Smooth random displacements (Simard et al. 2003), up to 15 % of the shorter side."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        height, width = images.shape[-2:]
        x, y = pixel_centres(height, width)
        reach = ELASTIC_SHIFT * strength[:, None, None]
        shift_x = (2 * smooth_noise(random, height, width, cells=(5,)) - 1) * reach
        shift_y = (2 * smooth_noise(random, height, width, cells=(5,)) - 1) * reach
        return warped(images, x + shift_x, y + shift_y)


class Flip(SoloTransform):
    """Mirrored left to right, whatever the strength; ``probability: 0.5`` mirrors half of them."""

    def change(self, images: Tensor, strength: Tensor, random: ImageRandom) -> Tensor:
        return torch.where(per_image(strength) > 0, images.flip(3), images)
