"""Sources that hold their images as one array: NumPy's files and the standard data sets."""

import dataclasses
import gzip
import zipfile
import zlib
from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from synthgen.data.assign import SPLITS
from synthgen.data.files import channels_first
from synthgen.data.folders.folder import ImageFolder
from synthgen.data.folders.words import split_word
from synthgen.data.images import choose_size, fit_levels, for_each
from synthgen.data.levels import UnscaledImages
from synthgen.data.readers.foreign import foreign_format
from synthgen.data.source import (
    Records,
    Source,
    existing,
    requested_size,
    require_safe_names,
)
from synthgen.errors import SynthgenError
from synthgen.types import LabelledImages


@dataclasses.dataclass(frozen=True)
class Arrays:
    """Images of one size in memory.

    Attributes:
        pixels: ``(N, H, W)`` or ``(N, H, W, C)``; uint8, or levels that are scaled later: uint16,
            int16 or float32.
        labels: int ``(N,)``, positions in ``classes``.
        split: the official split of each image, "train", "holdout" or "test", or None.
        notes: plain sentences on what was converted.
        groups: what must stay together (a patient, a film), or None; empty if nothing must.
        declared: the lowest and the highest level that there can be, where that is known and the
            levels are still to be scaled.
    """

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    split: tuple[str | None, ...]
    notes: tuple[str, ...] = ()
    groups: tuple[str | None, ...] = ()
    declared: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArraySource(Source):
    """A source whose images come as one array of one size."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """Read and check the arrays.

        Raises:
            SynthgenError: a file is missing, damaged or of another layout.
        """

    def read(self) -> Records:
        arrays = self.arrays()
        require_consistent(self.kind, arrays)
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
            images_of(tensor, labels, arrays),
            tuple(f"{self.kind}[{index}]" for index in range(len(labels))),
            arrays.split,
            arrays.groups or (None,) * len(labels),
            (*notes, *channel_notes),
        )


LEVEL_TYPES = (np.uint8, np.uint16, np.int16, np.float32)


def images_of(pixels: torch.Tensor, labels: torch.Tensor, arrays: Arrays) -> LabelledImages:
    """uint8 as it is, anything else as levels that are still to be scaled."""
    if pixels.dtype == torch.uint8:
        return LabelledImages(pixels, labels, arrays.classes)
    return UnscaledImages(pixels, labels, arrays.classes, declared=arrays.declared)


def require_consistent(kind: str, arrays: Arrays) -> None:
    """Raise what a new source got wrong: arrays that don't belong together."""
    pixels, labels, classes = arrays.pixels, arrays.labels, arrays.classes
    last = pixels.shape[-1]
    bands = pixels.ndim == 4 and (last in (1, 3) or last < min(pixels.shape[1:3]))
    if pixels.dtype not in LEVEL_TYPES or not (pixels.ndim == 3 or bands):
        wrong = f"pixels are {pixels.dtype} {tuple(pixels.shape)}, not uint8 N×H×W or N×H×W×bands"
    elif labels.shape != (len(pixels),) or labels.dtype.kind not in "iu":
        wrong = f"labels are {labels.dtype} {labels.shape}, not a whole number per image"
    elif labels.min(initial=0) < 0 or labels.max(initial=0) >= len(classes):
        wrong = f"labels go from {labels.min()} to {labels.max()}, but classes names {len(classes)}"
    elif len(arrays.split) != len(pixels) or not set(arrays.split) <= {None, *SPLITS}:
        wrong = f"split must have one of {', '.join(SPLITS)} or None per image"
    elif len(arrays.groups) not in (0, len(pixels)):
        wrong = "groups must have a key or None per image, or be empty"
    else:
        return
    raise SynthgenError(f"data={kind}: {wrong}.\nMend what arrays() of that source returns.")


def resize_all(pixels: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    """Bring ``(N, H, W)`` or ``(N, H, W, C)`` to ``size`` as files would be."""
    if pixels.ndim == 4 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    resized = np.empty((len(pixels), *size, *pixels.shape[3:]), dtype=pixels.dtype)

    def fill(index: int) -> None:
        resized[index] = fit_levels(np.ascontiguousarray(pixels[index]), size, fit)

    for_each(fill, range(len(pixels)), "Resizing images")
    return resized


# Images in NumPy's ``.npz``: what all of them share.


def open_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz``; pickled objects are refused, never opened."""
    if path.is_dir():
        raise SynthgenError(f"{path} is a folder, not an .npz file.\nGive the file itself.")
    with path.open("rb") as file:
        head = file.read(512)
    other = foreign_format(head, path.name)
    if other is not None:
        raise SynthgenError(
            f"{path} is a file of the format {other}, not an .npz file.\n"
            "Open it and save plain arrays: numpy.savez(path, images=…, labels=…)."
        )
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise SynthgenError(
                f"{path} is a single .npy array, not an .npz file.\n"
                "Save images and labels together: numpy.savez(path, images=…, labels=…)."
            )
        with archive:
            return {key: archive[key] for key in archive.files}
    except ValueError as error:
        if "allow_pickle" not in str(error) and "pickle" not in str(error):
            raise _damaged(path, error) from error
        raise SynthgenError(
            f"{path} holds pickled objects, or is no .npz file; pickles could run code and are "
            "never opened.\nSave plain arrays: numpy.savez(path, images=uint8_array, labels=…)."
        ) from error
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SynthgenError:
    return SynthgenError(f"{path} is damaged or no .npz file ({error}).\nGet or write it again.")


def image_array(path: Path, content: dict[str, np.ndarray], key: str) -> np.ndarray:
    """``content[key]`` as uint8 ``(N, H, W)`` or ``(N, H, W, C)``, or a sentence why not."""
    if key not in content:
        raise SynthgenError(
            f"{path} has no array {key!r}; it has {', '.join(sorted(content)) or 'none'}.\n"
            "data=npz needs images and labels; data=medmnist {train,val,test}_{images,labels}."
        )
    images = content[key]
    if images.dtype != np.uint8:
        raise SynthgenError(
            f"{key} in {path} is {images.dtype}, not uint8.\n"
            "Convert it to whole levels 0..255 (values in 0..1: times 255, rounded) and save again."
        )
    if images.ndim == 3 and images.size:
        return images
    if images.ndim == 4 and images.size and images.shape[-1] in (1, 3):
        return images
    if images.ndim == 4 and images.size and images.shape[1] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    raise SynthgenError(
        f"{key} in {path} has the shape {images.shape}.\n"
        "It must be N×H×W, N×H×W×C or N×C×H×W with 1 or 3 channels, and not empty."
    )


def read_labels(path: Path, content: dict[str, np.ndarray], count: int) -> list[str]:
    """The class name of each image: ``classes[label]`` if there are ``classes``, else the label
    itself as text."""
    labels = content.get("labels")
    if labels is None:
        raise SynthgenError(f"{path} has no array 'labels'.\nAdd one label per image.")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,) or labels.dtype.kind not in "iuUS":
        raise SynthgenError(
            f"labels in {path} has shape {labels.shape} and type {labels.dtype} for {count} images."
            "\nIt must hold one whole number or one name per image."
        )
    names = [value.decode() if isinstance(value, bytes) else str(value) for value in labels]
    if "classes" not in content:
        return names
    classes = [str(name) for name in content["classes"].astype(str)]
    if labels.dtype.kind in "iu":
        if labels.min() < 0 or labels.max() >= len(classes):
            raise SynthgenError(
                f"labels in {path} go from {labels.min()} to {labels.max()} but 'classes' has "
                f"{len(classes)} names.\nLabels count from 0."
            )
        return [classes[label] for label in labels]
    strangers = sorted(set(names) - set(classes))
    if strangers:
        raise SynthgenError(f"{path} has the label {strangers[0]!r}, which 'classes' lacks.")
    return names


# MNIST and Fashion-MNIST from the raw files that torchvision downloads.

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


# CIFAR-10 from torchvision's files or from a folder of images.

BATCHES = "cifar-10-batches-py"


@dataclass(frozen=True, kw_only=True)
class CIFAR10(ArraySource):
    """CIFAR-10: 50,000 + 10,000 colour photographs, 32 × 32, with its official test set.

    ``root`` is the folder given to torchvision (it holds ``cifar-10-batches-py``) or that folder
    itself, or a folder with ``train/<class>/`` and ``test/<class>/``.
    """

    root: str

    kind: ClassVar[str] = "cifar10"

    def read(self) -> Records:
        folder = self.as_folder()
        return super().read() if folder is None else folder.read()

    def as_folder(self) -> ImageFolder | None:
        """The same data as an ImageFolder, if that is what lies at ``root``."""
        root = existing(self.root, "data.root")
        if self._batches_parent() is not None or not root.is_dir():
            return None
        if {"train", "test"} <= {split_word(one.name) for one in root.iterdir() if one.is_dir()}:
            common = {one.name: getattr(self, one.name) for one in dataclasses.fields(Source)}
            return ImageFolder(root=self.root, **common)
        return None

    def arrays(self) -> Arrays:
        parent = self._batches_parent()
        if parent is None:
            raise SynthgenError(
                f"There is no CIFAR-10 in {self.root} (looked for {BATCHES}/ and for train/ and "
                f"test/ with class folders).\n{self._how_to_get()}"
            )
        from torchvision.datasets import CIFAR10 as TorchvisionCIFAR10  # noqa: N811

        try:
            # The batches are pickles. torchvision compares their MD5 before it opens them.
            train, test = (TorchvisionCIFAR10(parent, train=train) for train in (True, False))
        except (RuntimeError, FileNotFoundError) as error:
            raise SynthgenError(
                f"The files in {parent / BATCHES} are incomplete or not the original ones.\n"
                f"{self._how_to_get()}"
            ) from error
        return Arrays(
            np.concatenate([train.data, test.data]),
            np.array(train.targets + test.targets),
            tuple(train.classes),
            ("train",) * len(train) + ("test",) * len(test),
        )

    def _batches_parent(self) -> Path | None:
        root = existing(self.root, "data.root")
        if (root / BATCHES).is_dir():
            return root
        return root.absolute().parent if root.name == BATCHES else None

    def _how_to_get(self) -> str:
        call = "from torchvision.datasets import CIFAR10 as D"
        return f'Get it: python -c "{call}; D({self.root!r}, download=True)"'


# scikit-learn's 1,797 handwritten digits: real images that come with the installation.


@dataclass(frozen=True, kw_only=True)
class Digits(ArraySource):
    """1,797 real handwritten digits of 43 people, 8 × 8 grey (UCI Optical Recognition of
    Handwritten Digits, its test half). Levels 0..16 become 0..255."""

    kind: ClassVar[str] = "digits"

    def arrays(self) -> Arrays:
        from sklearn.datasets import load_digits  # takes a second to import

        bunch = load_digits()
        pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
        classes = tuple(str(name) for name in bunch.target_names)
        return Arrays(pixels, bunch.target, classes, (None,) * len(pixels))
