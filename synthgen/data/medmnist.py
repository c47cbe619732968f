"""MedMNIST v2 and MedMNIST+: the files of all sizes, with the class names of their makers."""

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, ClassVar, Self

import numpy as np
from numpy.lib import format as npy

from synthgen.data.arrays import Arrays, ArraySource, image_array, resize_all
from synthgen.data.images import choose_size
from synthgen.data.source import Records, existing, requested_size
from synthgen.errors import SynthgenError
from synthgen.ranges import CountOrNone

# The names of labels 0, 1, … as medmnist 3.0.2 gives them in its INFO (Yang et al. 2023,
# "MedMNIST v2", Scientific Data 10:41). All of them can be folders as they are.

_ORGANS = (
    "bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver",
    "lung-left", "lung-right", "pancreas", "spleen",
)  # fmt: skip
NAMES = {
    "pathmnist": (
        "adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle",
        "normal colon mucosa", "cancer-associated stroma",
        "colorectal adenocarcinoma epithelium",
    ),
    "chestmnist": (  # findings, of which an image can have several or none
        "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia",
        "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia",
    ),
    "dermamnist": (
        "actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma",
        "benign keratosis-like lesions", "dermatofibroma", "melanoma", "melanocytic nevi",
        "vascular lesions",
    ),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "pneumoniamnist": ("normal", "pneumonia"),
    "retinamnist": ("0", "1", "2", "3", "4"),  # grades
    "breastmnist": ("malignant", "normal, benign"),  # 0 is malignant here
    "bloodmnist": (
        "basophil", "eosinophil", "erythroblast",
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
        "lymphocyte", "monocyte", "neutrophil", "platelet",
    ),
    "tissuemnist": (
        "Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule",
        "Glomerular endothelial cells", "Interstitial endothelial cells", "Leukocytes",
        "Podocytes", "Proximal Tubule Segments", "Thick Ascending Limb",
    ),
    "organamnist": _ORGANS,
    "organcmnist": _ORGANS,
    "organsmnist": _ORGANS,
    "organmnist3d": (
        "liver", "kidney-right", "kidney-left", "femur-right", "femur-left", "bladder", "heart",
        "lung-right", "lung-left", "spleen", "pancreas",
    ),
    "nodulemnist3d": ("benign", "malignant"),
    "adrenalmnist3d": ("normal", "hyperplasia"),
    "fracturemnist3d": (
        "buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture",
    ),
    "vesselmnist3d": ("vessel", "aneurysm"),
    "synapsemnist3d": ("inhibitory synapse", "excitatory synapse"),
}  # fmt: skip
MULTI_LABEL = ("chestmnist",)
NUMBERS = "numbers"
SPLITS = {"train": "train", "val": "holdout", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class MedMNIST(ArraySource):
    """A MedMNIST file of any size, ``pathmnist.npz`` or ``pathmnist_224.npz``:
    ``{train,val,test}_{images,labels}``; ``val`` becomes the holdout.

    Images are brought to their size as they are read, so the largest files need little memory.

    Args:
        names: the set whose class names the labels have; None goes by the file's name;
            ``numbers`` calls the classes 0, 1, …
        label: the finding to tell in a set with several labels per image (ChestMNIST). The classes
            are then "no <finding>" and "<finding>".
        slice: which slice of each volume to take of a 3-D set, along its first axis, from 0.
    """

    path: str
    names: str | None = None
    label: str | None = None
    slice: CountOrNone | None = None

    kind: ClassVar[str] = "medmnist"
    reading: ClassVar[tuple[str, ...]] = ("names", "label", "slice")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.names is not None and self.names not in (*NAMES, NUMBERS):
            raise SynthgenError(
                f"data.names={self.names} is no set of MedMNIST.\n"
                f"Choose one of {', '.join(NAMES)}, or {NUMBERS}."
            )

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def watched(self) -> Path | None:
        return Path(self.path).expanduser()

    def named_as(self, classes: tuple[str, ...]) -> Self:
        if self.names is None and all(name.isdigit() for name in classes):
            return self.with_options(names=NUMBERS)
        return self

    def read(self) -> Records:
        if self.size is not None:
            return super().read()
        with opened(existing(self.path, "data.path")) as archive:
            parts = self._parts(archive)
        size, note = choose_size(Counter({parts[0].size: sum(map(len, parts))}))
        records = self.with_options(size=list(size)).read()
        return replace(records, notes=(note, *records.notes))

    def arrays(self) -> Arrays:
        with opened(existing(self.path, "data.path")) as archive:
            parts = self._parts(archive)
            given = [
                read_labels(self.path, archive, f"{prefix}_labels", len(part))
                for prefix, part in self._named(parts)
            ]
            if len({labels.shape[1:] for labels in given}) > 1:
                raise SynthgenError(f"The splits in {self.path} differ in labels.\n{AGAIN}")
            labels, classes, notes = self._told_apart(np.concatenate(given))
            size = requested_size(self.size) or parts[0].size
            if size != parts[0].size:
                notes.append(f"All images were brought to {size[0]} × {size[1]}.")
            if self.slice is not None:
                depth = parts[0].shape[1]
                notes.append(f"Slice {self.slice} of 0 to {depth - 1} was taken of each volume.")
            pixels = np.empty((len(labels), *size, *parts[0].channels), dtype=np.uint8)
            first = 0
            for chunk in (chunk for part in parts for chunk in part.chunks()):
                fitted = chunk if size == parts[0].size else resize_all(chunk, size, self.fit)
                pixels[first : first + len(chunk)] = fitted.reshape(len(chunk), *pixels.shape[1:])
                first += len(chunk)
        split = [SPLITS[prefix] for prefix, part in self._named(parts) for _ in range(len(part))]
        return Arrays(pixels, labels, classes, tuple(split), tuple(notes))

    def _parts(self, archive: zipfile.ZipFile) -> list["Part"]:
        parts = [Part.of(self.path, archive, f"{prefix}_images", self.slice) for prefix in SPLITS]
        if len({(part.size, part.channels) for part in parts}) > 1:
            raise SynthgenError(f"The splits in {self.path} differ in image size.\n{AGAIN}")
        return parts

    @staticmethod
    def _named(parts: list["Part"]) -> Iterator[tuple[str, "Part"]]:
        return zip(SPLITS, parts, strict=True)

    def _told_apart(self, labels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
        """int64 ``(N,)``, the name of each label, and notes, of labels ``(N, 1)`` or of the
        findings ``(N, findings)``."""
        several = labels.shape[1] > 1
        count = labels.shape[1] if several else int(labels.max(initial=0)) + 1
        names, notes = self._names(count, several)
        if not several:
            if self.label is not None:
                raise SynthgenError(
                    f"{self.path} has one label per image, so there is no label to choose.\n"
                    f"Leave data.label={self.label} out."
                )
            return labels[:, 0], names, notes
        if self.label not in names:
            wrong = "" if self.label is None else f"; data.label={self.label} is none of them"
            raise SynthgenError(
                f"{self.path} is multi-label ({count} findings per image), and synthgen needs one "
                f"class per image{wrong}.\n"
                f"Choose the finding to tell: data.label=NAME with one of {', '.join(names)}."
            )
        notes.append(
            f"Images without {self.label} are of the class 'no {self.label}', whatever else they "
            "show."
        )
        return labels[:, names.index(self.label)], (f"no {self.label}", self.label), notes

    def _names(self, count: int, several: bool) -> tuple[tuple[str, ...], list[str]]:
        """Names for the labels (or findings) 0 … ``count`` - 1, and notes."""
        numbers = tuple(str(label) for label in range(count))
        if self.names == NUMBERS:
            return numbers, []
        file = Path(self.path).name
        known = self.names or next((name for name in NAMES if file.lower().startswith(name)), None)
        if known is None:
            why = "its name begins with none of MedMNIST's sets"
        elif count <= len(NAMES[known]) and several == (known in MULTI_LABEL):
            return NAMES[known][:count], []
        else:
            why = f"{known} has {len(NAMES[known])}"
        if self.names is not None:
            raise SynthgenError(
                f"{self.path} has {count} {'findings' if several else 'labels'}, but {why}.\n"
                "Give data.names the set that this is, or numbers."
            )
        return numbers, [
            f"The {count} labels of {file} are called by their numbers, as {why}; "
            "data.names=breastmnist, say, takes the names of that set."
        ]


AGAIN = "Get the file again."
CHUNK = 1 << 26  # bytes of images that are decompressed at a time


@dataclass(frozen=True)
class Part:
    """The images of one split, still in the file.

    Attributes:
        slice: which one is taken of each volume; None if these are images.
    """

    path: str
    archive: zipfile.ZipFile
    key: str
    shape: tuple[int, ...]
    slice: int | None
    fortran: bool

    @classmethod
    def of(cls, path: str, archive: zipfile.ZipFile, key: str, wanted: int | None) -> "Part":
        """The array ``key``. Raises SynthgenError if it holds no 8-bit images."""
        require_key(path, archive, key)
        with archive.open(f"{key}.npy") as file:
            shape, fortran, kind = header_of(file)
        volumes = len(shape) == 5 or (len(shape) == 4 and shape[-1] not in (1, 3))
        if not volumes and wanted is not None:
            raise SynthgenError(
                f"{path} holds images, not volumes, so there is no slice to choose.\n"
                f"Leave data.slice={wanted} out."
            )
        if volumes and (wanted is None or not 0 <= wanted < shape[1]):
            raise SynthgenError(
                f"{path} holds 3-D volumes of {shape[1]} slices ({key}: {shape}); synthgen makes "
                "2-D images.\n"
                f"Say which slice of each to take, 0 to {shape[1] - 1}: data.slice={shape[1] // 2} "
                "is the middle; or use a 2-D set."
            )
        part = cls(path, archive, key, shape, wanted, fortran)
        # An array of that shape without its memory, for the sentences on type and shape.
        image_array(Path(path), {key: np.broadcast_to(np.zeros((), kind), part.shown)}, key)
        return part

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def shown(self) -> tuple[int, ...]:
        """The shape without the axis of the slices."""
        return self.shape if self.slice is None else (self.shape[0], *self.shape[2:])

    @property
    def size(self) -> tuple[int, int]:
        return self.shown[1], self.shown[2]

    @property
    def channels(self) -> tuple[int, ...]:
        """(3,) in colour, else ()."""
        return self.shown[3:] if self.shown[3:] == (3,) else ()

    def chunks(self) -> Iterator[np.ndarray]:
        """uint8 ``(n, H, W)`` or ``(n, H, W, 1 or 3)``, n as large as ``CHUNK`` allows."""
        each = int(np.prod(self.shape[1:]))
        at_once = max(1, CHUNK // each)
        whole = read_array(self.archive, self.key) if self.fortran else None
        with self.archive.open(f"{self.key}.npy") as file:
            header_of(file)
            for first in range(0, len(self), at_once):
                shape = (min(at_once, len(self) - first), *self.shape[1:])
                if whole is None:
                    chunk = np.frombuffer(file.read(shape[0] * each), np.uint8).reshape(shape)
                else:
                    chunk = whole[first : first + shape[0]]
                yield chunk if self.slice is None else chunk[:, self.slice]


def header_of(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran's order, and type of a .npy file, whose values follow."""
    if npy.read_magic(file) == (1, 0):
        return npy.read_array_header_1_0(file)
    return npy.read_array_header_2_0(file)


def read_array(archive: zipfile.ZipFile, key: str) -> np.ndarray:
    """The whole array ``key``."""
    with archive.open(f"{key}.npy") as file:
        return npy.read_array(file, allow_pickle=False)


def require_key(path: str, archive: zipfile.ZipFile, key: str) -> None:
    """Raise SynthgenError if there is no array ``key``."""
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if key not in names:
        raise SynthgenError(
            f"{path} has no array {key!r}; it has {', '.join(sorted(names)) or 'none'}.\n"
            "data=medmnist needs {train,val,test}_{images,labels}; data=npz images and labels."
        )


def read_labels(path: str, archive: zipfile.ZipFile, key: str, count: int) -> np.ndarray:
    """int64 ``(count, 1)``, or ``(count, findings)`` of 0 and 1."""
    require_key(path, archive, key)
    labels = read_array(archive, key)
    labels = labels[:, None] if labels.ndim == 1 else labels
    numbers = labels.ndim == 2 and labels.dtype.kind in "iu" and labels.min(initial=0) >= 0
    if not numbers or len(labels) != count:
        raise SynthgenError(
            f"{key} in {path} doesn't hold one class number per image, nor findings.\n{AGAIN}"
        )
    if labels.shape[1] > 1 and labels.max(initial=0) > 1:
        raise SynthgenError(f"The findings {key} in {path} are not 0 or 1 each.\n{AGAIN}")
    return labels.astype(np.int64)


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An ``.npz`` whose arrays are read when asked for; pickled objects never are.

    Raises:
        SynthgenError: it is no such file, or damaged, which may show in what is done with it.
    """
    if path.is_dir():
        raise SynthgenError(f"{path} is a folder, not an .npz file.\nGive the file itself.")
    with path.open("rb") as file:
        if file.read(6) == b"\x93NUMPY":
            raise SynthgenError(
                f"{path} is a single .npy array, not an .npz file.\nGet MedMNIST's own file."
            )
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise SynthgenError(
            f"{path} is damaged or no .npz file ({error}).\nGet the file again."
        ) from error
