"""DICOM: the pictures of scanners, as pydicom decodes them; nothing that tells who they show goes
further than here, but for a hash that keeps the images of one patient together."""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Literal

import numpy as np
from PIL import UnidentifiedImageError

from synthgen.data.readers.base import (
    BROKEN,
    Choices,
    Header,
    Raster,
    Reader,
    UnreadError,
)
from synthgen.data.readers.window import Grey, Table, Window
from synthgen.errors import SynthgenError

WindowSetting = Literal["file", "full"] | list[float]
FrameSetting = Literal["first", "middle"] | int
Patients = Literal["group", "ignore"]

PREFIX = 128  # bytes before DICM, which say nothing
ENDINGS = (".dcm", ".dicom", ".dic", ".ima")
NO_PICTURE = "Remove it, or use data=dicom, which leaves it out"
PLUGIN = "pylibjpeg"  # which of several that differ by up to 3 levels decodes what is compressed
GREY = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_RCT",
           "YBR_ICT")  # fmt: skip
# What images have in common that must share a split, from the strongest: the first that is filled.
BELONG_TOGETHER = (
    ("PatientID", "IssuerOfPatientID"),
    ("StudyInstanceUID",),
    ("SeriesInstanceUID",),
    ("FrameOfReferenceUID",),
)
WRITTEN_ON = ("US", "SC", "ES", "OT", "XC")  # modalities that like to burn names into the picture


class DicomReader(Reader):
    """DICOM files, with or without their usual beginning.

    Args:
        window: ``file`` shows grey values through the (first) window or table of their file, and
            keeps those of a file that has none; ``full`` keeps all; ``[center, width]`` is a window
            for all, in the units of the values (Hounsfield's for CT).
        frame: which picture of a file with several.
        patients: whether images of one patient are a group.
    """

    name: ClassVar[str] = "DICOM"
    extensions: ClassVar[frozenset[str]] = frozenset(ENDINGS)
    broken: ClassVar[tuple[type[Exception], ...]] = (
        *BROKEN, RuntimeError, AttributeError
    )  # fmt: skip

    def __init__(
        self,
        window: WindowSetting = "file",
        frame: FrameSetting = "middle",
        patients: Patients = "group",
        choices: Choices | None = None,
    ) -> None:
        super().__init__(choices)
        self.window = window
        self.frame = frame
        self.patients = patients

    def begins(self, head: bytes, name: str) -> bool:
        return head[PREFIX : PREFIX + 4] == b"DICM" or (
            bool(head) and name.lower().endswith(ENDINGS)
        )

    def header(self, stream: BinaryIO) -> Header:
        with damaged_values():
            return self._picture(_dataset(stream, pixels=False)).header

    def read(self, stream: BinaryIO, target: tuple[int, int] | None) -> Raster:
        with damaged_values():
            picture = self._picture(_dataset(stream, pixels=True))
            return Raster(picture.header, picture.levels())

    def _picture(self, dataset: Any) -> Picture:
        _require_picture(dataset)
        bands = int(dataset.get("SamplesPerPixel") or 1)
        self.sized(int(dataset.Rows), int(dataset.Columns), bands)
        return Picture(dataset, self._frame(dataset), self.window, self.patients)

    def _frame(self, dataset: Any) -> int:
        frames = frames_of(dataset)
        named = {"first": 0, "middle": frames // 2}
        number = named[self.frame] if isinstance(self.frame, str) else self.frame
        if not 0 <= number < frames:
            raise UnreadError(
                f"holds {frames} frame{'s' if frames > 1 else ''}, 0 to {frames - 1}, so "
                f"data.frame={number} is none of them",
                "Name another, or first or middle",
            )
        return number


@dataclass(frozen=True)
class Picture:
    """One frame of a data set."""

    dataset: Any
    frame: int
    window: WindowSetting
    patients: Patients

    @property
    def header(self) -> Header:
        ds = self.dataset
        grey = self.grey
        palette = ds.PhotometricInterpretation == "PALETTE COLOR"
        return Header(
            "DICOM",
            int(ds.Rows),
            int(ds.Columns),
            bands=1 if grey is not None or _real(ds) else 3,
            sample=grey.sample if grey is not None else "float" if _real(ds) else "unsigned",
            bits=grey.bits
            if grey is not None
            else 32
            if _real(ds)
            else 8
            if palette
            else int(ds.BitsStored),
            remarks=tuple(self._remarks()),
            measured=_real(ds) if grey is None else grey.shown is None,
            group=group_of(ds) if self.patients == "group" else None,
        )

    @property
    def grey(self) -> Grey | None:
        """What its values mean; None in colour, and where they are real numbers."""
        ds = self.dataset
        if ds.PhotometricInterpretation not in GREY or _real(ds):
            return None
        bits = int(ds.BitsStored)
        signed = bool(ds.PixelRepresentation)
        stored = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return Grey(
            stored,
            self._rescale(),
            self._shown(),
            ds.PhotometricInterpretation == "MONOCHROME1",
            _padding(ds),
        )

    def levels(self) -> np.ndarray:
        ds = self.dataset
        if ds.file_meta.TransferSyntaxUID.is_encapsulated:
            ds.pixel_array_options(index=self.frame, decoding_plugin=PLUGIN)
        else:
            ds.pixel_array_options(index=self.frame)
        values = ds.pixel_array
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        if self.grey is not None:
            return self.grey.levels(values)
        if _real(ds):
            return values.astype(np.float32)
        return _palette(ds, values) if ds.PhotometricInterpretation == "PALETTE COLOR" else values

    def _rescale(self) -> Table | tuple[float, float]:
        tables = self.dataset.get("ModalityLUTSequence")
        if tables:
            return _table(self.dataset, tables[0])
        place = _said_of(self.dataset, self.frame, "PixelValueTransformationSequence")
        slope, intercept = place.get("RescaleSlope"), place.get("RescaleIntercept")
        return (
            1.0 if slope in (None, "") else float(slope),
            0.0 if intercept in (None, "") else float(intercept),
        )

    def _shown(self) -> Window | Table | None:
        if self.window == "full":
            return None
        if self.window != "file":
            return Window(float(self.window[0]), float(self.window[1]))
        place = _said_of(self.dataset, self.frame, "FrameVOILUTSequence")
        tables = place.get("VOILUTSequence")
        if tables:
            return _table(self.dataset, tables[0])
        center, width = _first(place.get("WindowCenter")), _first(place.get("WindowWidth"))
        if center is None or width is None:
            return None
        if width <= 0:
            raise ValueError(f"its window is {width:g} wide; data.window=[center,width] gives one")
        return Window(center, width, str(place.get("VOILUTFunction") or "LINEAR"))

    def _remarks(self) -> Iterator[str]:
        ds, grey = self.dataset, self.grey
        if frames_of(ds) > 1:
            yield (
                f"hold several frames, of which {_word(self.frame, frames_of(ds))} was taken "
                "(data.frame= names another)"
            )
        if grey is not None:
            yield from _grey_remarks(grey, self.window, str(ds.get("Modality", "")))
            centers = _said_of(ds, self.frame, "FrameVOILUTSequence").get("WindowCenter")
            if isinstance(grey.shown, Window) and self.window == "file" and _several(centers):
                yield "have several windows, of which the first was taken"
        if ds.PhotometricInterpretation == "PALETTE COLOR":
            yield "have a palette and were turned into RGB of 8 bits"
        if any((group, 0x3000) in ds for group in range(0x6000, 0x6020, 2)):
            yield "have overlays, which were left out"
        burnt = str(ds.get("BurnedInAnnotation", "")).upper()
        if burnt == "YES":
            yield (
                "say that writing is burnt into the picture: a name there would be learned and "
                "shown; look at them"
            )
        elif burnt != "NO" and ds.get("Modality") in WRITTEN_ON:
            yield (
                "don't say whether writing is burnt into the picture, as it often is in ultrasound "
                "and screenshots; look at them"
            )


def _grey_remarks(grey: Grey, window: WindowSetting, modality: str) -> Iterator[str]:
    if isinstance(grey.shown, Table):
        yield "are shown through the table (VOI LUT) of their file (data.window=full keeps all)"
    elif grey.shown is not None and window == "file":
        which = f"center {grey.shown.center:g}, width {grey.shown.width:g}; "
        yield (
            "are shown through the window of their file, in 32,768 levels "
            f"({which if modality == 'CT' else ''}data.window=[center,width] sets one for all, "
            "full keeps all levels)"
        )
    elif grey.shown is not None:
        shown = f"center {grey.shown.center:g}, width {grey.shown.width:g}"
        turned = ", of its levels before they are turned" if grey.inverted else ""
        yield f"are shown through the window of data.window ({shown}{turned})"
    elif window == "file":
        yield "have no window, and all their levels were kept (data.window=[center,width] sets one)"
    if grey.inverted:
        yield "call white zero (MONOCHROME1) and were turned"
    if grey.padding is not None:
        yield "name a value for what is no part of the picture, which became black"


def _word(frame: int, frames: int) -> str:
    return "the middle one" if frame == frames // 2 else f"number {frame} (from 0)"


# The data set.


def pydicom() -> Any:
    """The library, told to be silent: its warnings quote what a tag holds.

    Raises:
        SynthgenError: it isn't installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise missing_package("DICOM", "pydicom") from error
    if ("ignore", None, Warning, re.compile("pydicom"), 0) not in warnings.filters:
        warnings.filterwarnings("ignore", module="pydicom")
        logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    return pydicom


@contextmanager
def damaged_values() -> Iterator[None]:
    """Raises ValueError for what pydicom says of values that it can't read, by classes of its own:
    they derive from Exception alone."""
    errors = pydicom().errors
    try:
        yield
    except (errors.BytesLengthException, errors.InvalidDicomError) as error:
        raise ValueError("a value has a wrong length, or its beginning is damaged") from error


def missing_package(what: str, package: str) -> SynthgenError:
    return SynthgenError(
        f"{what} files need the package {package}, which is not installed.\n"
        'Install it: pip install "synthgen-images[medical]"'
    )


def _dataset(stream: BinaryIO, *, pixels: bool) -> Any:
    """Raises UnidentifiedImageError for what only is called as if it were DICOM."""
    head = stream.read(PREFIX + 4)
    stream.seek(0)
    complete = head[PREFIX:] == b"DICM"
    dataset = pydicom().dcmread(stream, stop_before_pixels=not pixels, force=not complete)
    if not complete:
        if "Rows" not in dataset or "PixelRepresentation" not in dataset:
            raise UnidentifiedImageError("not DICOM")
        if "TransferSyntaxUID" not in dataset.file_meta:
            implicit, little = dataset.original_encoding
            name = "ImplicitVRLittleEndian" if implicit else "ExplicitVRLittleEndian"
            name = name if little else "ExplicitVRBigEndian"
            dataset.file_meta.TransferSyntaxUID = getattr(pydicom().uid, name)
    return dataset


def _require_picture(ds: Any) -> None:
    """Raises UnreadError for what holds none, or one that can't be decoded rightly."""
    if "DirectoryRecordSequence" in ds:
        raise UnreadError(
            "is the index of a DICOM folder (DICOMDIR), not a picture", NO_PICTURE, "not_image"
        )
    if "Rows" not in ds or "PhotometricInterpretation" not in ds:
        kind = ds.file_meta.get("MediaStorageSOPClassUID")
        name = f" ({kind.name.removesuffix(' Storage')})" if kind else ""
        raise UnreadError(f"is a DICOM file without a picture{name}", NO_PICTURE, "not_image")
    form = str(ds.PhotometricInterpretation)
    if form not in (*GREY, *COLOURS, "PALETTE COLOR"):
        raise UnreadError(f"is a DICOM file of the photometric form {form[:16]}")
    if "BitsStored" in ds and int(ds.get("HighBit", ds.BitsStored - 1)) != ds.BitsStored - 1:
        raise UnreadError(
            f"is a DICOM file whose {ds.BitsStored} bits end at bit {ds.HighBit}, not at "
            f"{ds.BitsStored - 1}"
        )
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise ValueError("it doesn't name its transfer syntax")
    try:
        decoder = pydicom().pixels.get_decoder(syntax)
    except NotImplementedError:
        raise UnreadError(f"is a DICOM file in {syntax.name}") from None
    if syntax.is_encapsulated and PLUGIN not in decoder.available_plugins:
        raise missing_package(f"DICOM ({syntax.name})", "pylibjpeg")


def frames_of(ds: Any) -> int:
    return int(ds.get("NumberOfFrames") or 1)


def _real(ds: Any) -> bool:
    """Whether its values are real numbers (FloatPixelData, DoubleFloatPixelData)."""
    return "BitsStored" not in ds


def _said_of(ds: Any, frame: int, sequence: str) -> Any:
    """Where the functional groups have ``sequence`` for this frame; the data set if they don't."""
    own, shared = (
        ds.get("PerFrameFunctionalGroupsSequence"),
        ds.get("SharedFunctionalGroupsSequence"),
    )
    for groups in (own[frame : frame + 1] if own else [], shared or []):
        for group in groups:
            if group.get(sequence):
                return group[sequence].value[0]
    return ds


def _several(value: Any) -> bool:
    """Whether a tag holds more than one number."""
    return not isinstance(value, str | float | int | None) and len(value) > 1


def _first(value: Any) -> float | None:
    """A number, or the first of several alternatives."""
    if value is None or value == "":
        return None
    return float(value if isinstance(value, int | float | str) else value[0])


def _padding(ds: Any) -> tuple[int, int] | None:
    one, other = ds.get("PixelPaddingValue"), ds.get("PixelPaddingRangeLimit")
    if one is None:
        return None
    low, high = sorted((int(one), int(one if other is None else other)))
    return low, high


def _little_endian(ds: Any) -> bool:
    return bool(ds.original_encoding[1])


def _table(ds: Any, item: Any) -> Table:
    return Table.of(item, "LUTDescriptor", "LUTData", little_endian=_little_endian(ds))


def _palette(ds: Any, values: np.ndarray) -> np.ndarray:
    """Stored values ``(H, W)`` -> uint8 ``(H, W, 3)``. Entries of 16 bits count by their upper
    byte, unless all fit into the lower one: both occur."""
    if "SegmentedRedPaletteColorLookupTableData" in ds:
        colours = pydicom().pixels.apply_color_lut(values, ds)[..., :3]
    else:
        planes = [
            Table.of(
                ds,
                f"{colour}PaletteColorLookupTableDescriptor",
                f"{colour}PaletteColorLookupTableData",
                little_endian=_little_endian(ds),
            ).looked_up(values)
            for colour in ("Red", "Green", "Blue")
        ]
        colours = np.stack(planes, axis=-1)
    deep = colours.dtype.itemsize > 1 and colours.max(initial=0) > 255
    return (colours >> 8 if deep else colours).astype(np.uint8)


def group_of(ds: Any) -> str | None:
    """What images of one patient have in common, or of one study where no patient is named: the
    tag's keyword and a hash of its value, which is never decoded. None if nothing is named."""
    for keywords in BELONG_TOGETHER:
        values = [_raw(ds, keyword) for keyword in keywords]
        if values[0]:
            digest = hashlib.sha256(b"\0".join([keywords[0].encode(), *values]))
            return f"{keywords[0]} {digest.hexdigest()[:32]}"
    return None


def _raw(ds: Any, keyword: str) -> bytes:
    element = ds.get_item(keyword)
    value = b"" if element is None or element.value is None else element.value
    return (value if isinstance(value, bytes) else str(value).encode()).strip(b" \0")
