"""Sources that hold their images as one array."""

import dataclasses
from abc import abstractmethod
from collections import Counter

import numpy as np
import torch
from PIL import Image

from synthgen.data.decode import for_each
from synthgen.data.files import channels_first
from synthgen.data.names import require_safe_names
from synthgen.data.size import choose_size, fit_image
from synthgen.data.source import Records, Source, requested_size
from synthgen.types import LabelledImages


@dataclasses.dataclass(frozen=True)
class Arrays:
    """uint8 ``(N, H, W)`` or ``(N, H, W, 1 or 3)`` pixels, int ``(N,)`` labels, and the official
    split of each image (or None)."""

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    split: tuple[str | None, ...]
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArraySource(Source):
    """A source whose images come as one array of one size."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """Read and check the arrays."""

    def read(self) -> Records:
        arrays = self.arrays()
        require_safe_names(arrays.classes)
        pixels = arrays.pixels
        stored = (pixels.shape[1], pixels.shape[2])
        notes = list(arrays.notes)
        size = requested_size(self.size)
        if size is None:
            size, note = choose_size(Counter({stored: len(pixels)}))
            notes.append(note)
        if size != stored:
            pixels = resize_all(pixels, size, self.fit)
            notes.append(f"All images were brought to {size[0]} × {size[1]}.")
        tensor, channel_notes = channels_first(pixels)
        labels = torch.from_numpy(arrays.labels.astype(np.int64))
        return Records(
            LabelledImages(tensor, labels, arrays.classes),
            tuple(f"{self.kind}[{index}]" for index in range(len(labels))),
            arrays.split,
            (None,) * len(labels),
            (*notes, *channel_notes),
        )


def resize_all(pixels: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    """Bring uint8 ``(N, H, W)`` or ``(N, H, W, C)`` to ``size`` as files would be."""
    if pixels.ndim == 4 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    resized = np.empty((len(pixels), *size, *pixels.shape[3:]), dtype=np.uint8)

    def fill(index: int) -> None:
        image = Image.fromarray(np.ascontiguousarray(pixels[index]))
        resized[index] = np.asarray(fit_image(image, size, fit))

    for_each(fill, range(len(pixels)), "Resizing images")
    return resized
