"""NIfTI: one axial slice of each volume, as a DICOM viewer would show it."""

from __future__ import annotations

import gzip
import io
import logging
from dataclasses import dataclass, replace
from math import prod
from typing import Any, BinaryIO, ClassVar

import numpy as np

from synthgen.data.readers.base import BROKEN, Choices, Header, Raster, Reader, Sample, UnreadError
from synthgen.data.readers.dicom import FrameSetting, missing_package

MAGIC = {b"n+1\0": 344, b"n+2\0": 4}  # where it stands in the header of either version
HALF = b"ni1\0"  # of a pair of files
LOOKED_AT = 2**24  # bytes, the header and what extends it fit into
GZIP = b"\x1f\x8b"
RIGHT, FRONT, UP = range(3)  # the axes of the world, in the directions in which they grow


class NiftiReader(Reader):
    """``.nii`` and ``.nii.gz`` of both versions, with slope and intercept applied.

    The slice is axial, the patient's front on top and their right on the left, whatever way the
    volume is stored. Of several volumes (over time) the first is taken.

    Args:
        frame: the slice, counted from the feet up.
    """

    name: ClassVar[str] = "NIfTI"
    extensions: ClassVar[frozenset[str]] = frozenset({".nii", ".nii.gz"})
    broken: ClassVar[tuple[type[Exception], ...]] = (*BROKEN, AttributeError)

    def __init__(self, frame: FrameSetting = "middle", choices: Choices | None = None) -> None:
        super().__init__(choices)
        self.frame = frame

    def begins(self, head: bytes, name: str) -> bool:
        if head.startswith(GZIP):
            return name.lower().endswith(".nii.gz")
        return _magic(head) or head[344:348] == HALF

    def header(self, stream: BinaryIO) -> Header:
        return self._slice(stream, LOOKED_AT).header

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        found = self._slice(stream, -1)
        values = found.image.dataobj
        stored = values.offset + found.image.get_data_dtype().itemsize * prod(values.shape)
        if found.size < stored:
            raise ValueError("the file is cut short")
        return found.raster()

    def _slice(self, stream: BinaryIO, size: int) -> Slice:
        image, length = _image(stream, size)
        slices = image.shape[_axes(image)[UP][0]] if len(image.shape) > 2 else 1
        named = {"first": 0, "middle": slices // 2}
        number = named[self.frame] if isinstance(self.frame, str) else self.frame
        if not 0 <= number < slices:
            raise UnreadError(
                f"holds {slices} slices, 0 to {slices - 1}, so data.frame={number} is none of them",
                "Name another, or first or middle",
            )
        found = Slice(image, number, slices, length)
        self.sized(found.header.height, found.header.width, found.header.bands)
        return found


@dataclass(frozen=True)
class Slice:
    """One slice of a nibabel image of ``size`` bytes, ``number`` of ``slices``."""

    image: Any
    number: int
    slices: int
    size: int

    @property
    def header(self) -> Header:
        axes = _axes(self.image)
        width, height = (self.image.shape[axes[side][0]] for side in (RIGHT, FRONT))
        sample, bits, bands = self._kind()
        return Header(
            "NIfTI",
            height,
            width,
            bands,
            sample,
            bits,
            remarks=tuple(self._remarks(bands)),
            measured=bands == 1,
        )

    def raster(self) -> Raster:
        axes = _axes(self.image)
        place: list[Any] = [slice(None)] * min(3, len(self.image.shape))
        if len(place) > 2:
            axis, forward = axes[UP]
            place[axis] = self.number if forward else self.slices - 1 - self.number
        place += [0] * (len(self.image.shape) - 3)
        levels = np.asarray(self.image.dataobj[tuple(place)])
        if levels.dtype.fields:
            levels = np.stack([levels[name] for name in "RGB"], axis=-1)
        if axes[FRONT][0] > axes[RIGHT][0]:
            levels = levels.swapaxes(0, 1)
        rows, columns = (-1 if axes[side][1] else 1 for side in (FRONT, RIGHT))
        levels = levels[::rows, ::columns]  # from front to back, from right to left
        header = self.header
        if header.sample == "float":
            levels = levels.astype(np.float32)
            missing = np.isnan(levels)
            if missing.any() and not missing.all():
                levels = np.where(missing, levels[~missing].min(), levels)
                remark = "have no number (NaN) at some places, which became their lowest level"
                header = replace(header, remarks=(*header.remarks, remark))
        else:
            levels = np.rint(levels).astype(_whole_type(header.sample, header.bits))
        return Raster(header, np.ascontiguousarray(levels))

    def _kind(self) -> tuple[Sample, int, int]:
        """sample, bits and bands of what is read."""
        kind = self.image.get_data_dtype()
        if kind.fields:
            if len(kind.fields) > 3:
                raise UnreadError("is a NIfTI file of colours with transparency")
            return "unsigned", 8, 3
        if kind.kind not in "uif":
            raise UnreadError(f"is a NIfTI file of {kind.name} values")
        slope, intercept = self.image.dataobj.slope, self.image.dataobj.inter
        if kind.kind == "f" or (slope, intercept) != (1, 0):
            return "float", 32, 1
        return "signed" if kind.kind == "i" else "unsigned", 8 * kind.itemsize, 1

    def _remarks(self, bands: int) -> list[str]:
        remarks = []
        if self.slices > 1:
            which = "the middle axial one" if self.number == self.slices // 2 else "one"
            remarks.append(
                f"hold a volume, of whose slices {which} was taken (data.frame= names another)"
            )
        if int(np.prod(self.image.shape[3:])) > 1:
            remarks.append("hold several volumes, of which the first was taken")
        header = self.image.header
        if not (int(header["sform_code"]) or int(header["qform_code"])):
            remarks.append("don't say how they lie; their third axis was taken to point up")
        return remarks


def _magic(head: bytes) -> bool:
    return any(head[place : place + 4] == magic for magic, place in MAGIC.items())


def _image(stream: BinaryIO, size: int) -> tuple[Any, int]:
    """A nibabel image of the first ``size`` bytes (-1: all), whose values are read when asked for,
    and how many there are. Raises SynthgenError without nibabel."""
    try:
        import nibabel
        from nibabel.filebasedimages import ImageFileError
        from nibabel.spatialimages import HeaderDataError
    except ImportError as error:
        raise missing_package("NIfTI", "nibabel") from error
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # prints what it mends
    packed = stream.read(2) == GZIP
    stream.seek(0)
    content = (gzip.GzipFile(fileobj=stream) if packed else stream).read(size)
    if content[344:348] == HALF:
        raise UnreadError("is one half of a NIfTI pair (.hdr and .img); save it as one .nii")
    version = nibabel.Nifti2Image if content[4:8] == b"n+2\0" else nibabel.Nifti1Image
    try:
        image = version.from_stream(io.BytesIO(content))
    except (HeaderDataError, ImageFileError) as error:
        raise ValueError(str(error)) from error
    if len(image.shape) < 2 or not all(image.shape):
        raise UnreadError(f"is a NIfTI file of the shape {image.shape}")
    return image, len(content)


def _axes(image: Any) -> dict[int, tuple[int, bool]]:
    """For each axis of the world: the image's axis that is nearest to it, and whether both grow in
    the same direction."""
    from nibabel import io_orientation

    found = io_orientation(image.affine)
    if np.isnan(found).any():
        raise ValueError("it doesn't say how its volume lies")
    axes = {int(world): (axis, way > 0) for axis, (world, way) in enumerate(found)}
    if len(image.shape) == 2 and axes[UP][0] != 2:
        raise UnreadError("is a NIfTI file of one slice that isn't axial")
    return axes


def _whole_type(sample: Sample, bits: int) -> np.dtype:
    return np.dtype(f"{'i' if sample == 'signed' else 'u'}{bits // 8}")
