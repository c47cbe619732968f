"""Some images of odd shapes in each of the three ways in which they can be fitted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synthgen.data.images import fit_levels
from synthgen.data.levels import UnscaledImages, preview, scale, widened
from synthgen.data.readers import Header, ImageFile, ImageFileError, Raster, Reader, read_levels
from synthgen.data.source import FITS
from synthgen.images import TOP, as_pictures
from synthgen.types import ImageSpec

SHOWN = 6
ROUGHLY = 20  # steps of aspect in which shapes count as one


@dataclass(frozen=True)
class FitExample:
    """One file: its stored size, and how it looks under each fit, uint8 with one channel or
    three."""

    file: str
    height: int
    width: int
    pictures: tuple[tuple[str, Tensor], ...]


def fit_examples(
    paths: Sequence[ImageFile],
    names: Sequence[str],
    headers: Sequence[Header],
    image: ImageSpec,
    readers: Sequence[Reader],
) -> tuple[FitExample, ...]:
    """At most six files of different shapes, those farthest from the shape of ``image`` first; none
    if all have that shape. ``image`` says what is shown of them."""
    target = math.log(image.width / image.height)
    oddest: dict[int, int] = {}
    for index, header in enumerate(headers):
        shape = round(ROUGHLY * (math.log(header.width / header.height) - target))
        if shape:
            oddest.setdefault(shape, index)
    chosen = [oddest[shape] for shape in sorted(oddest, key=lambda shape: (-abs(shape), shape))]
    made = (_example(paths[index], names[index], image, readers) for index in chosen[:SHOWN])
    return tuple(example for example in made if example is not None)


def _example(
    path: ImageFile, name: str, image: ImageSpec, readers: Sequence[Reader]
) -> FitExample | None:
    """None for a file that can't be read any more."""
    size = image.height, image.width
    try:
        raster = read_levels(path, size, readers)
    except ImageFileError:
        return None
    levels = _levels(raster, image)
    pictures = tuple((fit, _picture(fit_levels(levels, size, fit), image)) for fit in FITS)
    return FitExample(name, raster.header.height, raster.header.width, pictures)


def _levels(raster: Raster, image: ImageSpec) -> np.ndarray:
    """uint8, or float32 of the source's scale where ``image`` has one."""
    header = raster.header
    top = 2.0**header.bits - 1
    if header.shallow and image.levels is None:
        return widened(raster.levels, header.bits, TOP[8])
    levels = raster.levels.astype(np.float32)
    if image.levels is not None and header.sample == "unsigned" and top < image.levels.high:
        levels *= image.levels.high / top  # as among files of several depths, see Form
    return levels


def _picture(levels: np.ndarray, image: ImageSpec) -> Tensor:
    planes = torch.from_numpy(levels.reshape(*levels.shape[:2], -1).copy()).permute(2, 0, 1)
    one = UnscaledImages(planes[None], torch.zeros(1, dtype=torch.int64), ("",))
    if image.levels is None:
        found = preview(one)
    else:
        found = scale(one, (image.levels.low, image.levels.high), image.bits)
    view = image.view if len(planes) == image.channels else None
    return as_pictures(found.images, view, image.shown)[0]
