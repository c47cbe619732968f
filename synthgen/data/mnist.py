"""MNIST and Fashion-MNIST from the raw files that torchvision downloads."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from synthgen.data.arrays import Arrays, ArraySource
from synthgen.data.source import existing
from synthgen.errors import SynthgenError

# In the order of the labels, as torchvision names them; but no slash can be in a folder's name.
FASHION = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
UBYTE = 8  # the type byte of unsigned bytes in an IDX header


@dataclass(frozen=True, kw_only=True)
class MNIST(ArraySource):
    """MNIST: 60,000 + 10,000 handwritten digits, 28 × 28 grey, with its official test set.

    ``root`` is the folder given to torchvision (it holds ``MNIST/raw``) or that raw folder itself.
    """

    root: str

    kind: ClassVar[str] = "mnist"
    torchvision_name: ClassVar[str] = "MNIST"
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")

    def arrays(self) -> Arrays:
        raw = self._raw_folder()
        parts = []
        for prefix in ("train", "t10k"):
            images = read_idx(raw / f"{prefix}-images-idx3-ubyte", dimensions=3)
            labels = read_idx(raw / f"{prefix}-labels-idx1-ubyte", dimensions=1)
            if len(images) != len(labels) or labels.max(initial=0) >= len(self.classes):
                raise SynthgenError(
                    f"The {prefix} labels in {raw} don't belong to the images there.\n"
                    f"{self._how_to_get()}"
                )
            parts.append((images, labels))
        (train, train_labels), (test, test_labels) = parts
        return Arrays(
            np.concatenate([train, test]),
            np.concatenate([train_labels, test_labels]),
            self.classes,
            ("train",) * len(train) + ("test",) * len(test),
        )

    def _raw_folder(self) -> Path:
        root = existing(self.root, "data.root")
        name = self.torchvision_name
        for folder in (root / name / "raw", root / "raw", root):
            stem = folder / "train-images-idx3-ubyte"
            if stem.is_file() or stem.with_name(f"{stem.name}.gz").is_file():
                return folder
        raise SynthgenError(
            f"There is no {name} in {root} (looked for {name}/raw/train-images-idx3-ubyte).\n"
            f"{self._how_to_get()}"
        )

    def _how_to_get(self) -> str:
        call = f"from torchvision.datasets import {self.torchvision_name} as D"
        return f'Get it: python -c "{call}; D({self.root!r}, download=True)"'


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(MNIST):
    """Fashion-MNIST: 60,000 + 10,000 pieces of clothing, 28 × 28 grey, official test set."""

    kind: ClassVar[str] = "fashion_mnist"
    torchvision_name: ClassVar[str] = "FashionMNIST"
    classes: ClassVar[tuple[str, ...]] = FASHION


def read_idx(path: Path, *, dimensions: int) -> np.ndarray:
    """An IDX file of unsigned bytes (http://yann.lecun.com/exdb/mnist), plain or as ``.gz``."""
    packed = path.with_name(f"{path.name}.gz")
    try:
        content = path.read_bytes() if path.is_file() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise SynthgenError(f"{path} is missing.\nDownload the set again.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise SynthgenError(f"{packed} is damaged ({error}).\nDownload it again.") from error
    start = 4 + 4 * dimensions
    shape = tuple(np.frombuffer(content[4:start], dtype=">i4").tolist())
    complete = len(shape) == dimensions and len(content) == start + int(np.prod(shape))
    if content[:4] != bytes([0, 0, UBYTE, dimensions]) or not complete:
        raise SynthgenError(f"{path} is damaged: it is no complete IDX file.\nDownload it again.")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
