"""Images in NumPy's ``.npz``: our own simple layout, and that of MedMNIST v2."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from synthgen.data.arrays import Arrays, ArraySource
from synthgen.data.names import label_names
from synthgen.data.source import existing
from synthgen.errors import SynthgenError

MEDMNIST_SPLITS = {"train": "train", "val": "holdout", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class NPZ(ArraySource):
    """``images`` (uint8; N×H×W, N×H×W×C or N×C×H×W with 1 or 3 channels) and ``labels`` (numbers
    or names, one per image); optionally ``classes``: the names of the labels 0, 1, …"""

    path: str

    kind: ClassVar[str] = "npz"

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def arrays(self) -> Arrays:
        path = existing(self.path, "data.path")
        content = open_npz(path)
        images = image_array(path, content, "images")
        names = read_labels(path, content, len(images))
        classes = tuple(content["classes"].astype(str)) if "classes" in content else None
        classes = classes or label_names(names)
        number_of = {name: number for number, name in enumerate(classes)}
        labels = np.array([number_of[name] for name in names])
        return Arrays(images, labels, classes, (None,) * len(labels))


@dataclass(frozen=True, kw_only=True)
class MedMNIST(ArraySource):
    """A MedMNIST v2 file: ``{train,val,test}_{images,labels}``; ``val`` becomes the holdout.

    Two-dimensional sets with one label per image; the file holds no names, so classes are called
    0, 1, …
    """

    path: str

    kind: ClassVar[str] = "medmnist"

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def arrays(self) -> Arrays:
        path = existing(self.path, "data.path")
        content = open_npz(path)
        images, labels, split = [], [], []
        for prefix, official in MEDMNIST_SPLITS.items():
            _refuse_volumes(path, content, f"{prefix}_images")
            part = image_array(path, content, f"{prefix}_images")
            images.append(part)
            labels.append(_single_labels(path, content, f"{prefix}_labels", len(part)))
            split += [official] * len(part)
        if len({part.shape[1:] for part in images}) > 1:
            raise SynthgenError(f"The splits in {path} differ in image size.\nGet the file again.")
        joined = np.concatenate(labels)
        classes = tuple(str(label) for label in range(int(joined.max(initial=0)) + 1))
        return Arrays(np.concatenate(images), joined, classes, tuple(split))


def open_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz``; pickled objects are refused, never opened."""
    if path.is_dir():
        raise SynthgenError(f"{path} is a folder, not an .npz file.\nGive the file itself.")
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


def _refuse_volumes(path: Path, content: dict[str, np.ndarray], key: str) -> None:
    shape = content[key].shape if key in content else ()
    if len(shape) == 5 or (len(shape) == 4 and shape[-1] not in (1, 3)):
        raise SynthgenError(
            f"{path} holds 3-D volumes ({key}: {shape}); synthgen makes 2-D images.\n"
            "Use a 2-D MedMNIST set, or save slices as images."
        )


def _single_labels(path: Path, content: dict[str, np.ndarray], key: str, count: int) -> np.ndarray:
    labels = content.get(key)
    if labels is None:
        raise SynthgenError(f"{path} has no array {key!r}.\nGet the file again.")
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise SynthgenError(
            f"{path} is multi-label ({labels.shape[1]} labels per image); synthgen needs one class "
            "per image.\nChoose a single-label set, or keep images with exactly one label."
        )
    labels = labels.reshape(-1)
    if len(labels) != count or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        raise SynthgenError(
            f"{key} in {path} doesn't hold one class number per image.\nGet the file again."
        )
    return labels.astype(np.int64)
