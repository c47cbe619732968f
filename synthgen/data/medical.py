"""Image files among which may be those of scanners: how DICOM and NIfTI are read."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from synthgen.data.files import FileSource, Listing, Scan
from synthgen.data.readers import DicomReader, ImageFileError, NiftiReader, Reader
from synthgen.data.source import Records
from synthgen.errors import SynthgenError
from synthgen.ranges import CountOrNone, Real

# No `from __future__ import annotations`: see synthgen.data.source.


@dataclass(frozen=True, kw_only=True)
class MedicalFiles(FileSource):
    """A source of image files, of DICOM and NIfTI too.

    Args:
        window: which values of a grey DICOM picture become black to white: ``file``, those of the
            window in its file, if it has one; ``full``, all; ``[center, width]``, a window for all
            files, in their units (Hounsfield's for CT).
        frame: the picture of a DICOM file with several, or the slice of a NIfTI volume, from 0;
            ``first`` or ``middle``.
        patients: ``group`` keeps the images of one patient (or study, where no patient is named) in
            one split, by the ids of DICOM; ``ignore`` doesn't look at them.

    Raises:
        SynthgenError: the window is none.
    """

    window: list[Real] | Literal["file", "full"] = "file"
    frame: CountOrNone | Literal["first", "middle"] = "middle"
    patients: Literal["group", "ignore"] = "group"

    reading: ClassVar[tuple[str, ...]] = (*FileSource.reading, "window", "frame", "patients")

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.window, list) and not (len(self.window) == 2 and self.window[1] >= 1):
            raise SynthgenError(
                f"data.window={self.window} is no window.\n"
                "Give its center and its width (1 or more), like [40,400]; or file, or full."
            )

    @property
    def clipping(self) -> Literal["range", "window"] | None:
        if self.range is None and isinstance(self.window, list):
            return "window"
        return super().clipping

    def readers(self) -> tuple[Reader, ...]:
        readers = super().readers()
        choices = readers[0].choices
        mine: dict[type[Reader], Reader] = {
            DicomReader: DicomReader(self.window, self.frame, self.patients, choices),
            NiftiReader: NiftiReader(self.frame, choices),
        }
        return tuple(mine.get(type(reader), reader) for reader in readers)

    def scan(self, listing: Listing, on_error: Callable[[ImageFileError], None]) -> Scan:
        scan = super().scan(listing, on_error)
        found = [
            header.group
            for header, known in zip(scan.headers, listing.groups, strict=True)
            if header is not None and header.group is not None and known is None
        ]
        if not found:
            return scan
        kinds = Counter(group.partition(" ")[0] for group in set(found))
        said = " and ".join(f"{count:,} {_WORDS[kind][count > 1]}" for kind, count in kinds.items())
        note = (
            f"{len(found):,} images are of {said}, by their DICOM ids, and those of one share a "
            "split; data.patients=ignore divides them freely."
        )
        return replace(scan, notes=(*scan.notes, note))

    def ways_apart(self, records: Records) -> str:
        groups = {group.partition(" ")[0] for group in records.groups if group is not None}
        if not groups & _WORDS.keys():
            return ""
        return " data.patients=ignore lets images of one DICOM patient lie in different splits."


_WORDS = {
    "PatientID": ("patient", "patients"),
    "StudyInstanceUID": ("study", "studies"),
    "SeriesInstanceUID": ("series", "series"),
    "FrameOfReferenceUID": ("frame of reference", "frames of reference"),
}
