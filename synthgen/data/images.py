"""From a file to pixels of one size: the choice of that size, and how an image gets there."""

from __future__ import annotations

import itertools
import math
import os
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from synthgen.progress import track

BICUBIC = Image.Resampling.BICUBIC
MANY_FILES = 2_000
FILES_PER_TASK = 64

Item = TypeVar("Item")
Value = TypeVar("Value")

# Choosing one size for all images, and bringing an image to it.

LONGEST_SIDE = 64


def choose_size(
    sizes: Counter[tuple[int, int]], longest: int | None = LONGEST_SIDE
) -> tuple[tuple[int, int], str]:
    """A (height, width) for images of such sizes, its longer side at most ``longest`` pixels (None:
    no bound), and a sentence on the choice.

    The size that more than half have; without one, the median aspect, which leaves about the least
    to pad or to crop (it has the least mean distance in log aspect), at the median longer side.
    """
    (common, count), total = sizes.most_common(1)[0], sizes.total()
    if 2 * count > total:
        height, width = common
        reason = (
            f"all {total:,} images are {height} × {width}"
            if len(sizes) == 1
            else f"the commonest of {len(sizes):,} sizes, {height} × {width} in {count:,} of "
            f"{total:,}"
        )
    else:
        aspect = math.exp(_median({s: math.log(s[1] / s[0]) for s in sizes}, sizes))
        side = _median({s: float(max(s)) for s in sizes}, sizes)
        height, width = round(min(side, side / aspect)), round(min(side, side * aspect))
        reason = (
            f"none of {len(sizes):,} sizes is that of most, so the median shape, "
            f"{width / height:.2f} times as wide as high"
        )
    scale = 1.0 if longest is None else min(1.0, longest / max(height, width))
    chosen = max(1, round(height * scale)), max(1, round(width * scale))
    if scale < 1:
        reason += f", scaled to a longer side of {longest}"
    note = f"Size {chosen[0]} × {chosen[1]} (height × width): {reason}. data.size= sets another."
    return chosen, note


def _median(values: dict[tuple[int, int], float], sizes: Counter[tuple[int, int]]) -> float:
    """The median of ``values``, each as often as its size occurs."""
    ordered = sorted(sizes, key=values.__getitem__)
    up_to = list(itertools.accumulate(sizes[size] for size in ordered))
    total = up_to[-1]
    low, high = (ordered[bisect(up_to, place)] for place in ((total - 1) // 2, total // 2))
    return (values[low] + values[high]) / 2


def padding_share(sizes: Counter[tuple[int, int]], size: tuple[int, int]) -> float:
    """Share of all pixels that are padding where images of such sizes are padded to ``size``."""
    height, width = size
    filled = 0.0
    for (h, w), count in sizes.items():
        scale = min(height / h, width / w)
        inner = min(height, max(1, round(h * scale))) * min(width, max(1, round(w * scale)))
        filled += count * inner / (height * width)
    return 1 - filled / sizes.total() if sizes else 0.0


def fit_levels(levels: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    """Bring levels of any type, ``(H, W)`` or ``(H, W, bands)``, to ``size`` (height, width); see
    ``Source.fit`` for the three ways. Untouched if they have it already.

    Resizing is bicubic and antialiased. More than 8 bits are resized as real numbers, band by band,
    which keeps levels between those of 8 bits; what overshoots the image's own range is clamped.
    """
    if levels.shape[:2] == size:
        return levels
    bands = 1 if levels.ndim == 2 else levels.shape[2]
    if levels.dtype == np.uint8 and bands in (1, 3):
        image = Image.fromarray(levels.reshape(levels.shape[: 2 if bands == 1 else 3]))
        fitted = np.asarray(fit_image(image, size, fit))
        return fitted.reshape(*size, *levels.shape[2:])
    planes = levels.reshape(*levels.shape[:2], bands)
    return np.stack([_fit_plane(planes[..., k], size, fit) for k in range(bands)], -1).reshape(
        *size, *levels.shape[2:]
    )


def _fit_plane(plane: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    real = plane.astype(np.float32)
    fitted = np.asarray(fit_image(Image.fromarray(real), size, fit))
    fitted = fitted.clip(real.min(), real.max())
    return (fitted if plane.dtype.kind == "f" else np.rint(fitted)).astype(plane.dtype)


def fit_image(image: Image.Image, size: tuple[int, int], fit: str) -> Image.Image:
    """:func:`fit_levels` of an image of mode L, RGB or F."""
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


def _border_colour(image: Image.Image) -> float | tuple[int, ...]:
    """The median, per channel, of the outermost pixels: what the padding least stands out from."""
    pixels = np.asarray(image)
    edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    border = np.sort(np.concatenate(edges), axis=0)
    median = border[len(border) // 2]  # a value that occurs, not a mean of two
    return median.item() if median.ndim == 0 else tuple(int(value) for value in median)


QUICK = 2e-4  # seconds for one item, below which threads mostly wait for Python's one lock


def for_each(
    function: Callable[[Item], Value], items: Sequence[Item], description: str
) -> list[Value]:
    """``[function(item) for item in items]`` with progress if there are many: on all cores, unless
    the first ones are so quick that one thread is faster."""
    shown: Any = track(len(items), description) if len(items) >= MANY_FILES else nullcontext()
    results: list[Value] = []
    with shown as advance:
        for part in _parts(function, items):
            results += part
            if advance is not None:
                advance(len(part))
    return results


def _parts(function: Callable[[Item], Value], items: Sequence[Item]) -> Iterator[list[Value]]:
    tasks = [items[i : i + FILES_PER_TASK] for i in range(0, len(items), FILES_PER_TASK)]
    times, first = [], []
    for item in tasks[0] if tasks else ():
        start = perf_counter()
        first.append(function(item))
        times.append(perf_counter() - start)
    yield first
    if len(tasks) < 2 or median(times) < QUICK:
        yield from ([function(item) for item in task] for task in tasks[1:])
        return
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            yield from pool.map(lambda task: [function(item) for item in task], tasks[1:])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
