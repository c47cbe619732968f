"""What a file format does: turn the images of one shard into files, the same bytes every time."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.spec import Rebuildable
from synthgen.types import ImageSpec

SHARDS = "shards"  # the folder of formats that keep many images in one file


@dataclass(frozen=True)
class Shard:
    """The images of some consecutive rows and what is stored beside them, one entry per image."""

    number: int
    images: Tensor  # uint8 (N, C, H, W)
    labels: Sequence[int]
    seeds: Sequence[int | None]  # None: a real image
    origins: Sequence[str]  # "synthetic" or "real"
    names: Sequence[str]  # the row's number with leading zeros
    marks: Sequence[str]  # what the image says about itself, ASCII; empty for real images
    classes: tuple[str, ...]

    @property
    def file(self) -> str:
        """The path of the shard's file without its ending."""
        return f"{SHARDS}/{self.number:06d}"


@dataclass(frozen=True)
class Encoded:
    """``files`` are (path in the set, content); each image lies in ``paths[i]``, and ``digests[i]``
    is the SHA-256 of its bytes there."""

    files: Sequence[tuple[str, bytes]]
    paths: Sequence[str]
    digests: Sequence[str]


class Format(Rebuildable, ABC):
    """Encodes shards. Encoding runs in threads, several shards at a time."""

    name: ClassVar[str]
    in_shards: ClassVar[bool] = True  # False: one file per image, in a folder per class

    def prepare(self, image: ImageSpec) -> None:
        """Raise SynthgenError if such images can't be written here, before anything is drawn."""

    @abstractmethod
    def encode(self, shard: Shard) -> Encoded:
        """The shard's files."""


class ImageFiles(Format):
    """One image file per row, ``<class>/<row>.<ending>``: what ``ImageFolder`` reads."""

    in_shards = False
    ending: ClassVar[str]

    @abstractmethod
    def encode_images(self, images: Tensor, marks: Sequence[str]) -> list[bytes]:
        """uint8 ``(N, C, H, W)`` with 1 or 3 channels -> N image files carrying ``marks``."""

    def encode(self, shard: Shard) -> Encoded:
        contents = self.encode_images(shard.images, shard.marks)
        paths = [
            f"{shard.classes[label]}/{name}.{self.ending}"
            for label, name in zip(shard.labels, shard.names, strict=True)
        ]
        return Encoded(list(zip(paths, contents, strict=True)), paths, sha256_of(contents))


def sha256_of(contents: Sequence[bytes]) -> list[str]:
    return [hashlib.sha256(content).hexdigest() for content in contents]


def channels_last(images: Tensor) -> np.ndarray:
    """uint8 ``(N, C, H, W)`` -> contiguous ``(N, H, W)`` for one channel, else ``(N, H, W, C)``."""
    if images.shape[1] == 1:
        return np.ascontiguousarray(images[:, 0].numpy())
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())


def pixel_digests(pixels: np.ndarray) -> list[str]:
    """SHA-256 of each image's bytes in an array, as they are stored."""
    return [hashlib.sha256(image.data).hexdigest() for image in pixels]


def missing_package(name: str, format_name: str) -> SynthgenError:
    return SynthgenError(
        f"format={format_name} needs the package {name}, which is not installed.\n"
        f"Install it: pip install {name}"
    )
