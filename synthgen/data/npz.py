"""Images and labels in a file of arrays (``.npz``, HDF5, ``.mat``), under the names that people
give them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np

from synthgen.data.array_files import Content, open_arrays
from synthgen.data.arrays import Arrays, ArraySource
from synthgen.data.assign import SPLITS
from synthgen.data.source import existing, label_names
from synthgen.data.tabular import columns
from synthgen.data.tabular.columns import AUTO, CALLED, GROUP, Choice
from synthgen.data.tabular.divisions import group_choice, split_choice
from synthgen.data.tabular.files import Table, cell_of
from synthgen.data.tabular.labels import missing_texts
from synthgen.errors import SynthgenError

IMAGES = frozenset({"images", "image", "imgs", "img", "x", "data", "pixels", "arr_0"})
LABELS = frozenset({"labels", "label", "y", "target", "targets", "arr_1"})
NAMES = ("classes", "class_names", "label_names", "target_names")
AXES = {"NHW": (0, 1, 2), "NHWC": (0, 1, 2, 3), "NCHW": (0, 2, 3, 1)}  # to N, H, W, C
MOST_BANDS = 32  # more along an axis are rows or columns
CHUNK = 256  # images that are looked at together


@dataclass(frozen=True, kw_only=True)
class NPZ(ArraySource):
    """``images`` and ``labels`` (numbers, names or one-hot rows), or ``X`` and ``y``, or
    ``x_train``, ``y_train``, ``x_test``, …; optionally ``classes``: the names of the labels 0, 1, …

    Args:
        image: the array of the images, where it is called otherwise.
        label: the array of the labels, where it is called otherwise.
        group: the array (or arrays) of what must stay in one split. ``auto`` takes ``groups``,
            ``patient_id`` and the like; None divides freely.
        classes: the names of the labels 0, 1, …, where the file has none.
        missing_label: labels that stand for none, whose images are left out if they are the fewer;
            None: nan, None, a dash and the like, and -1 beside 0 and 1.
        axes: the order of the images' axes (number, height, width, channels) where it isn't clear.
    """

    path: str
    image: str | None = None
    label: str | None = None
    group: str | list[str] | None = AUTO
    classes: list[str] | None = None
    missing_label: list[str] | None = None
    axes: Literal["NHW", "NHWC", "NCHW"] | None = None

    kind: ClassVar[str] = "npz"
    reading: ClassVar[tuple[str, ...]] = (
        "image", "label", "group", "classes", "missing_label", "axes"
    )  # fmt: skip

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def watched(self) -> Path | None:
        return Path(self.path).expanduser()

    def arrays(self) -> Arrays:
        path = existing(self.path, "data.path")
        content, remarks = open_arrays(path)
        parts = self._parts(path, content)
        stored = {}
        names: list[str] = []
        split: list[str | None] = []
        for part in parts:
            of_part = labels_of(path, part.labels, content[part.labels])
            require_as_many(path, part, content[part.images].shape, len(of_part))
            stored[part.images] = channels_last(path, part.images, content[part.images], self.axes)
            names += of_part
            split += [part.split] * len(of_part)
        if len({array.shape[1:] for array in stored.values()}) > 1:
            raise SynthgenError(f"The splits in {path} differ in image size.\nWrite them alike.")
        pixels, declared, notes = to_levels(path, stored)
        none = self._missing(path, content, names)
        kept = [index for index, name in enumerate(names) if name not in none]
        labels = [names[index] for index in kept]
        classes = _classes(path, self._declared(content), labels)
        number_of = {name: number for number, name in enumerate(classes)}
        group = self._groups(path, content, parts)
        said = _splits_in(path, content, len(names)) if set(split) == {None} else Choice()
        used = {*said.columns}
        used |= {*(key for part in parts for key in (part.images, part.labels)), *NAMES}
        used |= {
            key for part in parts for name, key in part.groups.items() if name in group.columns
        }
        rest = [name for name in content if name not in used]
        ignored = (f"Ignored the arrays {', '.join(rest)} of {path.name}.",) if rest else ()
        all_pixels = np.concatenate(pixels)
        part_of = said.cells or tuple(split)
        found = Counter(name for name in names if name in none)
        return Arrays(
            all_pixels if len(kept) == len(names) else all_pixels[kept],
            np.array([number_of[name] for name in labels]),
            classes,
            tuple(part_of[index] for index in kept),
            (
                *remarks,
                *ignored,
                *_known_layout(path, content),
                *notes,
                *_left_out(found),
                *group.notes,
                *said.notes,
            ),
            tuple(group.cells[index] for index in kept) if group.cells else (),
            declared,
        )

    def _declared(self, content: Content) -> tuple[str, tuple[str, ...]] | None:
        """The names of the classes, and which setting or array has them."""
        if self.classes is not None:
            return "data.classes", tuple(self.classes)
        key = next((name for name in NAMES if name in content), None)
        if key is None:
            return None
        return key, tuple(cell_of(name) for name in content[key].tolist())

    def _missing(self, path: Path, content: Content, names: Sequence[str]) -> frozenset[str]:
        """The labels that stand for none. Raises SynthgenError if most do."""
        declared = self._declared(content)
        none = missing_texts(names, self.missing_label) - set(declared[1] if declared else ())
        without = [index for index, name in enumerate(names) if name in none]
        if 2 * len(without) >= len(names):
            raise SynthgenError(
                f"{len(without):,} of {len(names):,} labels in {path} stand for none, like "
                f"{names[without[0]]!r} of image {without[0]}.\nComplete them; or, if that is a "
                "class, data.missing_label=[]."
            )
        return none

    def _parts(self, path: Path, content: Content) -> list["Part"]:
        """The arrays that are read. Raises SynthgenError if they are missing or unclear."""
        found = parts_of(content)
        named = self.image is not None or self.label is not None
        if named or not found or set(found) == {None}:
            part = found.get(None, Found())
            images = _single(path, content, "images", "image", self.image, part.images)
            labels = _single(path, content, "labels", "label", self.label, part.labels)
            return [Part(None, images, labels, part.groups)]
        if None in found and found[None].images:
            raise SynthgenError(
                f"{path} has images for all and for the splits: {', '.join(sorted(content))}.\n"
                "Say which are meant: data.image=ARRAY data.label=ARRAY."
            )
        of_split = [(split, found[split]) for split in SPLITS if split in found]
        return [
            Part(
                split,
                _single(path, content, f"images of {split}", "image", None, part.images),
                _single(path, content, f"labels of {split}", "label", None, part.labels),
                part.groups,
            )
            for split, part in of_split
        ]

    def _groups(self, path: Path, content: Content, parts: Sequence["Part"]) -> Choice:
        """The key of each image's group."""
        names = list(dict.fromkeys(name for part in parts for name in part.groups))
        if isinstance(self.group, list) or self.group not in (None, AUTO):
            names = [self.group] if isinstance(self.group, str) else list(self.group or ())
        cells: list[list[str]] = []
        for name in names if self.group is not None else ():
            keys = [part.groups.get(name, name) for part in parts]
            counts = [(len(content[part.labels]),) for part in parts]
            if [content[key].shape if key in content else None for key in keys] != counts:
                raise SynthgenError(
                    f"{name} in {path} must hold one group per image of each split.\n"
                    "Complete it, or set data.group=null to divide the images freely."
                )
            cells.append([cell_of(value) for key in keys for value in content[key].tolist()])
        table = Table(str(path), tuple(names), tuple(cells))
        return group_choice(table, self.group, ())


@dataclass(frozen=True)
class Part:
    """The arrays of one official split, or of all images; ``groups``: column -> array."""

    split: str | None
    images: str
    labels: str
    groups: Mapping[str, str]


class Found:
    """The arrays that could be the images, labels and groups of a split."""

    def __init__(self) -> None:
        self.images: list[str] = []
        self.labels: list[str] = []
        self.groups: dict[str, str] = {}


def _splits_in(path: Path, content: Content, count: int) -> Choice:
    """What an array like ``split`` says, if it names the split of each image."""
    arrays = {
        name: array
        for name, array in content.items()
        if array.shape == (count,) and array.dtype.kind in "US"
    }
    cells = tuple([cell_of(value) for value in array.tolist()] for array in arrays.values())
    table = Table(str(path), tuple(arrays), cells)
    names = [name for name in arrays if columns.tells_splits(table, name)]
    return split_choice(table, names[0], None, ()) if len(names) == 1 else Choice()


def parts_of(content: Content) -> dict[str | None, Found]:
    """What the arrays' names say: ``x_train``, ``train_images`` and ``XTrain`` are images of the
    training split, ``y`` are labels, ``patient_ids`` groups. Other arrays say nothing."""
    found: dict[str | None, Found] = {}
    for name in content:
        words = [word for word in re.split(r"[\W_]+", _parted(name)) if word]
        split = next((CALLED[word] for word in words if word in CALLED), None)
        rest = "_".join(word for word in words if word not in CALLED)
        kind = found.get(split, Found())
        if rest in IMAGES:
            kind.images.append(name)
        elif rest in LABELS:
            kind.labels.append(name)
        elif rest in GROUP or rest.removesuffix("s") in GROUP:
            kind.groups[rest.removesuffix("s")] = name
        else:
            continue
        found[split] = kind
    return found


def _parted(name: str) -> str:
    """XTrain and ytest as two words."""
    return re.sub(r"^([xy])(?=train|test|val)", r"\1_", name.casefold())


def _single(
    path: Path, content: Content, what: str, setting: str, named: str | None, found: Sequence[str]
) -> str:
    """The one array of ``found``, or the one that is ``named``; ``images`` and ``labels`` come
    before others."""
    if named is not None and named in content:
        return named
    best = [name for name in found if name in ("images", "labels")] or found
    if named is None and len(best) == 1:
        return best[0]
    held = columns.listed(sorted(content))
    if named is not None or not found:
        raise SynthgenError(
            f"{path} has no array {(named or what)!r}; it has {held}.\n"
            f"Name it: data.{setting}=ARRAY. Usual are images and labels, X and y, x_train, "
            "y_train, x_test and y_test."
        )
    raise SynthgenError(
        f"{path} has {' and '.join(best)}, either of which could be the {what}.\n"
        f"Say which: data.{setting}={best[0]} or data.{setting}={best[1]}."
    )


def _known_layout(path: Path, content: Content) -> tuple[str, ...]:
    if not {"train_images", "val_images", "test_images"} <= content.keys():
        return ()
    return (f"{path.name} is laid out as MedMNIST is: data=medmnist gives its classes names.",)


# Labels.


def labels_of(path: Path, key: str, labels: np.ndarray) -> list[str]:
    """A name or whole number, as text, for each image; of one-hot rows the place of the 1."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "biuf":
        labels = _places_of_ones(path, key, labels)
    whole = labels.dtype.kind == "f" and bool(np.all(labels == np.rint(labels)))
    if labels.ndim != 1 or not (whole or labels.dtype.kind in "iubUS"):
        raise SynthgenError(
            f"{key} in {path} has shape {labels.shape} and type {labels.dtype}.\n"
            "It must hold one whole number or one name per image."
        )
    values = labels.astype(np.int64) if labels.dtype.kind in "fb" else labels
    texts = [cell_of(value) for value in values.tolist()]
    if "" in texts:
        raise SynthgenError(
            f"{key} in {path} has no label for image {texts.index('')}.\nComplete it, or leave out "
            "such images."
        )
    return texts


def _places_of_ones(path: Path, key: str, rows: np.ndarray) -> np.ndarray:
    ones = (rows == 1).sum(1)
    if np.isin(rows, (0, 1)).all() and (ones > 1).any():
        raise SynthgenError(
            f"{key} in {path} is multi-label: image {int(np.argmax(ones > 1))} has "
            f"{int(ones.max())} labels.\nAn image has one class here: save the column you mean; a "
            "file laid out as MedMNIST's gives it to data=medmnist data.label=NAME."
        )
    if not np.isin(rows, (0, 1)).all() or (ones < 1).any():
        raise SynthgenError(
            f"{key} in {path} has the shape {rows.shape}, but its rows aren't one-hot (one 1, "
            "else 0).\nIt must hold one whole number or one name per image."
        )
    return rows.argmax(1)


def _left_out(found: Mapping[str, int]) -> tuple[str, ...]:
    if not found:
        return ()
    said = ", ".join(f"{text}: {count:,}" for text, count in found.items())
    return (
        f"Left out {sum(found.values()):,} images without a label ({said}; data.missing_label=[] "
        "makes classes of those).",
    )


def _classes(
    path: Path, named: tuple[str, tuple[str, ...]] | None, names: list[str]
) -> tuple[str, ...]:
    """The class names, in their order; ``names`` of numbers become those that they stand for.
    ``named``: the names that are given, and by what."""
    if named is None:
        return label_names(names)
    key, declared = named
    numbers = all(re.fullmatch(r"-?\d+", name) for name in set(names))
    if numbers and not set(names) <= set(declared):
        labels = sorted({int(name) for name in names})
        if labels[0] < 0 or labels[-1] >= len(declared):
            raise SynthgenError(
                f"labels in {path} go from {labels[0]} to {labels[-1]} but {key!r} has "
                f"{len(declared)} names.\nLabels count from 0."
            )
        names[:] = [declared[int(name)] for name in names]
    strangers = sorted(set(names) - set(declared))
    if strangers:
        raise SynthgenError(f"{path} has the label {strangers[0]!r}, which {key!r} lacks.\nAdd it.")
    return declared


# Shapes and levels.


def require_as_many(path: Path, part: Part, shape: tuple[int, ...], count: int) -> None:
    """Refuse images whose number isn't that of the labels, and say if they lie along another
    axis."""
    if shape[:1] == (count,):
        return
    advice = "There must be one label per image."
    if count in shape[1:]:
        axis = shape.index(count)
        advice = (
            f"The images seem to lie along axis {axis}: numpy.moveaxis({part.images}, {axis}, 0)."
        )
    raise SynthgenError(
        f"{part.images} in {path} has the shape {shape}, but {part.labels} has labels for {count} "
        f"images.\n{advice}"
    )


def channels_last(path: Path, key: str, images: np.ndarray, axes: str | None) -> np.ndarray:
    """``(N, H, W)`` or ``(N, H, W, C)``, whichever way round the channels were.

    Raises:
        SynthgenError: the shape doesn't tell, or isn't that of images.
    """
    fitting = [order for order in AXES if len(order) == images.ndim]
    if axes is not None:
        fitting = [order for order in fitting if order == axes]
    elif images.ndim == 4:
        bands = {order: images.shape[order.index("C")] for order in fitting}
        fewest, more, _ = sorted(images.shape[1:])
        fitting = [order for order in fitting if bands[order] in (1, 3)] or [
            order for order in fitting if bands[order] == fewest < min(more, MOST_BANDS)
        ]
    if not fitting or not images.size:
        raise _no_images(path, key, images.shape)
    if len(fitting) > 1:
        raise SynthgenError(
            f"{key} in {path} has the shape {images.shape}: its channels come first or last.\n"
            "Say which: data.axes=NCHW or data.axes=NHWC."
        )
    return images.transpose(AXES[fitting[0]])


def _no_images(path: Path, key: str, shape: tuple[int, ...]) -> SynthgenError:
    advice = "It must be N×H×W, N×H×W×C or N×C×H×W and not empty; data.axes= says which."
    if len(shape) == 2:
        advice = "The images seem to be rows: images.reshape(-1, height, width) and save again."
    return SynthgenError(f"{key} in {path} has the shape {shape}.\n{advice}")


@dataclass(frozen=True)
class Span:
    """Least and greatest value, and whether all are whole numbers."""

    low: float
    high: float
    whole: bool

    @classmethod
    def of(cls, arrays: Iterable[np.ndarray]) -> Self:
        low, high, whole = np.inf, -np.inf, True
        for array in arrays:
            for first in range(0, len(array), CHUNK):
                part = array[first : first + CHUNK]
                low, high = np.minimum(low, part.min()), np.maximum(high, part.max())  # keep NaN
                whole = whole and (part.dtype.kind != "f" or bool((part == np.rint(part)).all()))
        return cls(float(low), float(high), whole)

    @property
    def shares(self) -> bool:
        return self.low >= 0 and self.high <= 1


def to_levels(
    path: Path, stored: Mapping[str, np.ndarray]
) -> tuple[list[np.ndarray], tuple[float, float] | None, tuple[str, ...]]:
    """Levels of a type that is kept, the ends of their scale if the numbers tell them, and a
    sentence on what they were taken for.

    Numbers from 0 to 1 are shares of white, whole ones up to 255 are levels of 8 bits; others keep
    their own scale, see :func:`synthgen.data.levels.choose_range`.

    Raises:
        SynthgenError: they are no numbers, not finite, or differ between the splits.
    """
    keys, arrays = " and ".join(stored), list(stored.values())
    dtypes = {array.dtype for array in arrays}
    if any(dtype.kind not in "biuf" for dtype in dtypes):
        kinds = "/".join(sorted(map(str, dtypes)))
        raise SynthgenError(f"{keys} in {path} is {kinds}, no numbers.\nSave levels from 0 to 255.")
    spans = [Span.of([array]) for array in arrays]
    span = Span(
        min(one.low for one in spans),
        max(one.high for one in spans),
        all(one.whole for one in spans),
    )
    if not all(np.isfinite((one.low, one.high)).all() for one in spans):
        raise SynthgenError(f"{keys} in {path} has values that are NaN or infinite.\nReplace them.")
    shown = f"{'/'.join(sorted(map(str, dtypes)))} from {span.low:g} to {span.high:g}"
    floats = any(dtype.kind == "f" for dtype in dtypes)
    if len({one.shares for one in spans if one.high > 0}) > 1:
        raise SynthgenError(
            f"{keys} in {path} are shares from 0 to 1 in one split and levels in another.\n"
            "Bring all splits to one scale and save again."
        )
    if span.shares and span.whole and span.high > 0:
        note = f"{keys} is {shown}: 1 was taken as white, 0 as black."
        return [array.astype(np.uint8) * 255 for array in arrays], None, (note,)
    if span.shares and floats:
        note = f"{keys} is {shown}, taken as shares of white: 0 is black and 1 is white."
        return [array.astype(np.float32) for array in arrays], (0.0, 1.0), (note,)
    dtype = _kept(span)
    note = f"{keys} is {shown}, taken as levels" + (" of 8 bits." if dtype == np.uint8 else ".")
    notes = () if dtypes == {np.dtype(np.uint8)} else (note,)
    return [array.astype(dtype) for array in arrays], None, notes


def _kept(span: Span) -> np.dtype:
    """The smallest type that holds such levels."""
    for dtype in (np.uint8, np.uint16, np.int16):
        ends = np.iinfo(dtype)
        if span.whole and ends.min <= span.low and span.high <= ends.max:
            return np.dtype(dtype)
    return np.dtype(np.float32)
