"""Choosing one size for all images, and bringing an image to it."""

from __future__ import annotations

from collections import Counter

import numpy as np
from PIL import Image

LONGEST_SIDE = 64
BICUBIC = Image.Resampling.BICUBIC


def choose_size(
    sizes: Counter[tuple[int, int]], longest: int | None = LONGEST_SIDE
) -> tuple[tuple[int, int], str]:
    """The commonest (height, width), its longer side at most ``longest`` pixels (None: as it is),
    and a sentence on the choice."""
    common, count = max(sizes.items(), key=lambda item: (item[1], item[0]))
    height, width = common
    scale = 1.0 if longest is None else min(1.0, longest / max(common))
    chosen = max(1, round(height * scale)), max(1, round(width * scale))
    total = sizes.total()
    if len(sizes) == 1:
        reason = f"all {total:,} images are {height} × {width}"
    else:
        reason = (
            f"the commonest of {len(sizes)} sizes, {height} × {width} in {count:,} of {total:,}"
        )
    if scale < 1:
        reason += f", scaled to a longer side of {longest}"
    note = f"Size {chosen[0]} × {chosen[1]} (height × width): {reason}. data.size= sets another."
    return chosen, note


def fit_image(image: Image.Image, size: tuple[int, int], fit: str) -> Image.Image:
    """Bring an L or RGB image to ``size`` (height, width); untouched if it has it already.

    Resizing is bicubic and antialiased. See ``Source.fit`` for the three ways.
    """
    height, width = size
    if image.size == (width, height):
        return image
    if fit == "stretch":
        return _resize(image, width, height)
    scales = width / image.width, height / image.height
    if fit == "crop":
        scale = max(scales)
        left = (image.width - width / scale) / 2
        top = (image.height - height / scale) / 2
        box = (max(0.0, left), max(0.0, top), image.width - left, image.height - top)
        box = (*box[:2], min(box[2], image.width), min(box[3], image.height))
        return image.resize((width, height), BICUBIC, box=box, reducing_gap=3.0)
    scale = min(scales)
    inner_width = min(width, max(1, round(image.width * scale)))
    inner_height = min(height, max(1, round(image.height * scale)))
    inner = _resize(image, inner_width, inner_height)
    canvas = Image.new(image.mode, (width, height), _border_colour(inner))
    canvas.paste(inner, ((width - inner_width) // 2, (height - inner_height) // 2))
    return canvas


def _resize(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), BICUBIC, reducing_gap=3.0)


def _border_colour(image: Image.Image) -> int | tuple[int, ...]:
    """The median, per channel, of the outermost pixels: what the padding least stands out from."""
    pixels = np.asarray(image)
    edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    border = np.sort(np.concatenate(edges), axis=0)
    median = border[len(border) // 2]  # a value that occurs, not a mean of two
    return int(median) if median.ndim == 0 else tuple(int(value) for value in median)
