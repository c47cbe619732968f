"""Images that are decoded when they are asked for, and look like a tensor of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import torch
from torch import Tensor

from synthgen.data.form import Form
from synthgen.data.images import fit_levels
from synthgen.data.levels import Range, UnscaledImages, scale
from synthgen.data.readers import Choices, FileBytes, ImageFileError, image_readers, read_levels
from synthgen.data.stream.contents import Contents
from synthgen.data.stream.index import FACTS, Index, mapped
from synthgen.data.stream.storage import LostImageError
from synthgen.errors import SynthgenError
from synthgen.io import read_json
from synthgen.types import LabelledImages, Levels

ROWS, LABELS, SAMPLE = "train-rows.npy", "train-labels.npy", "train-sample.npy"
HASHES = "train-hashes.npy"
SLICE = 512  # images decoded at a time
MOST_BYTES = 2**32  # of images that are taken into memory


@dataclass(frozen=True)
class Decoding:
    """From an image's bytes to its place in a batch.

    Attributes:
        form: what every image becomes before its levels are scaled.
        fit: see :class:`synthgen.data.Source`.
        ends: the levels that become black and white; None: they are 8 bits as they are.
        bits: of the levels then.
    """

    form: Form
    fit: str
    choices: Choices
    ends: Range | None
    bits: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.form.bands, *self.form.size

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint16 if self.ends is not None and self.bits == 16 else torch.uint8

    def __call__(self, contents: Sequence[FileBytes]) -> Tensor:
        """uint8 or uint16 ``(N, C, H, W)``. Raises LostImageError for what is no such image."""
        return self.scaled(self.unscaled(contents))

    def scaled(self, unscaled: Tensor) -> Tensor:
        """uint8 or uint16 of levels as the files have them."""
        if self.ends is None:
            return unscaled
        labels = torch.zeros(len(unscaled), dtype=torch.int64)
        return scale(UnscaledImages(unscaled, labels, ("",)), self.ends, self.bits).images

    def unscaled(self, contents: Sequence[FileBytes]) -> Tensor:
        """``(N, C, H, W)`` with the levels of the files."""
        form = self.form
        pixels = np.empty((len(contents), *form.size, form.bands), form.dtype)
        for row, file in zip(pixels, contents, strict=True):
            row[:] = self._levels(file)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()

    @cached_property
    def _readers(self) -> Any:
        return image_readers(self.choices)

    def _levels(self, file: FileBytes) -> np.ndarray:
        """``(H, W, 1 or bands)`` of the form's size."""
        try:
            raster = read_levels(file, self.form.size, self._readers)
            if not self.form.takes(raster.header):
                raise self.form.stranger(file, raster.header)
            levels = fit_levels(self.form.convert(file, raster), self.form.size, self.fit)
        except ImageFileError as error:  # one argument: it may have to get out of a worker
            raise LostImageError(
                f"{file.name} {error.problem}.\nRepair or remove it, and start a new run: what is "
                "trained on is another set then."
            ) from error
        return levels if levels.ndim == 3 else levels[..., None]


class LazyImages:
    """``(N, C, H, W)`` of which a few are decoded when they are indexed, by int64 positions or a
    slice; whatever would take all of them refuses with a sentence.

    Args:
        rows, hashes: where each lies and what it holds, see
            :meth:`synthgen.data.stream.contents.Contents.read`.
    """

    ndim = 4

    def __init__(
        self, contents: Contents, rows: np.ndarray, hashes: np.ndarray, decoding: Decoding
    ) -> None:
        self.contents, self.rows, self.hashes, self.decoding = contents, rows, hashes, decoding

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.rows), *self.decoding.shape))

    @property
    def dtype(self) -> torch.dtype:
        return self.decoding.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Tensor:
        """Raises LostImageError for a file that can't be read, or has changed."""
        if isinstance(index, int):
            return self[torch.tensor([index])][0]
        if not isinstance(index, slice | Tensor | list):
            self.refuse()
        where = index if isinstance(index, slice) else np.asarray(index)
        return self.decoding(self.contents.read(self.rows[where], self.hashes[where]))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(Tensor, name):
            raise AttributeError(name)
        self.refuse()

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        every = [*args, *(part for one in args if isinstance(one, list | tuple) for part in one)]
        next(one for one in every if isinstance(one, cls)).refuse()

    def refuse(self) -> NoReturn:
        raise SynthgenError(
            f"data=stream decodes its {len(self):,} training images when they are shown, and what "
            "was asked for takes all of them at once.\nUse a model that is trained in batches, or "
            "data=webdataset or data=image_folder for a set that fits into memory."
        )


@dataclass(frozen=True)
class StreamedImages(LabelledImages):
    """The training images of a stream. ``images`` is a :class:`LazyImages`.

    Attributes:
        folder: of the division, by which other processes open the same files.
        window: how many images are shuffled together; None: all of them.
        workers: processes that decode ahead.
    """

    folder: Path = Path()
    window: int | None = None
    workers: int = 0

    @property
    def sample(self) -> LabelledImages:
        """Some of them, in memory: with the same share of each class, chosen by their contents."""
        found = mapped(self.folder / SAMPLE)
        chosen = self.subset(torch.from_numpy(found["row"].astype(np.int64)))
        return replace(chosen, groups=numbered(found["group"]))

    def subset(self, index: Tensor | Sequence[int]) -> LabelledImages:  # type: ignore[override]
        """Some of them, in memory. Raises SynthgenError for more than that holds."""
        index = torch.as_tensor(index)
        index = index.nonzero()[:, 0] if index.dtype == torch.bool else index.to(torch.int64)
        lazy = cast(LazyImages, self.images)
        if len(index) * math.prod(lazy.shape[1:]) > MOST_BYTES:
            lazy.refuse()
        images = torch.empty((len(index), *lazy.shape[1:]), dtype=lazy.dtype)
        for at in range(0, len(index), SLICE):
            images[at : at + SLICE] = lazy[index[at : at + SLICE]]
        labels = self.labels[index]
        return LabelledImages(
            images, labels, self.classes, None, self.levels, self.view, self.shown
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """By path: other processes would get a copy of what a memory map shows else."""
        return opened, (self.folder, self.window, self.workers)


def in_memory(images: LabelledImages) -> LabelledImages:
    """What can be looked at as a whole: the images, or those of a stream that stand for all."""
    return images.sample if isinstance(images, StreamedImages) else images


def numbered(groups: np.ndarray) -> Tensor | None:
    """Hashes of groups, 0 for none -> int64, equal for equal ones; None if each is by itself."""
    grouped = groups != 0
    if not grouped.any():
        return None
    _, numbers = np.unique(groups, return_inverse=True)
    alone = numbers.max() + 1 + np.arange(len(groups))
    return torch.from_numpy(np.where(grouped, numbers, alone).astype(np.int64))


# The folder of a division, by which every process opens the same files.


def decoding_to_json(decoding: Decoding) -> dict[str, Any]:
    form = decoding.form
    return {
        "size": form.size,
        "bands": form.bands,
        "dtype": form.dtype.str,
        "scale": form.scale,
        "top": form.top,
        "fit": decoding.fit,
        "choices": asdict(decoding.choices),
        "ends": decoding.ends,
        "bits": decoding.bits,
    }


def decoding_from_json(found: dict[str, Any]) -> Decoding:
    height, width = found["size"]
    dtype = np.dtype(found["dtype"])
    form = Form((height, width), found["bands"], dtype, found["scale"], found["top"], None)
    ends = None if found["ends"] is None else (found["ends"][0], found["ends"][1])
    return Decoding(form, found["fit"], Choices(**found["choices"]), ends, found["bits"])


def opened(folder: Path, window: int | None, workers: int) -> StreamedImages:
    """The training images of a division that is complete."""
    facts = read_json(folder / FACTS)
    index = Index(folder.parent / facts["index"])
    decoding = decoding_from_json(facts["decoding"])
    rows, hashes = mapped(folder / ROWS), mapped(folder / HASHES)
    lazy = LazyImages(Contents(index), rows, hashes, decoding)
    labels = torch.from_numpy(mapped(folder / LABELS))
    levels = None if decoding.ends is None else Levels(*decoding.ends)
    view = None if facts["view"] is None else tuple(facts["view"])
    more: Any = {"folder": folder, "window": window, "workers": workers}
    # To whoever takes images batch by batch, it is a tensor.
    pixels = cast(Tensor, lazy)
    return StreamedImages(pixels, labels, index.classes, None, levels, view, **more)
