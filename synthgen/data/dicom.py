"""What a hospital exports: a folder or ZIP archive of DICOM files, classes by folder or by tag."""

import stat
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from synthgen.data.files import Listing
from synthgen.data.folders.folder import ImageFolder
from synthgen.data.folders.tree import Tree
from synthgen.data.folders.ways import UnclearLayoutError
from synthgen.data.images import for_each
from synthgen.data.readers import FileBytes, ImageFile, ImageFileError
from synthgen.data.readers.base import HEAD, corrupt, opened
from synthgen.data.readers.dicom import DicomReader, damaged_values, pydicom
from synthgen.data.source import existing, label_names, require_safe_names
from synthgen.errors import SynthgenError

MOST_BYTES = 2**31  # of one file in an archive, unpacked
PATIENT = "PatientID"
CODES = "CS"  # the type of tags that hold one of a few agreed words
OTHER_LABELS = (
    "Manufacturer", "ManufacturerModelName", "ProtocolName", "SeriesDescription",
    "StudyDescription",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DICOMFolder(ImageFolder):
    """``root`` is a folder or a ZIP archive of DICOM files. Its subfolders are the classes, as of
    an :class:`ImageFolder`, unless ``label`` names a tag; then folders mean nothing.

    Files that are no DICOM, or hold no picture (an index, a report), are left out, with a note. An
    archive is never unpacked.

    Args:
        label: keyword of the tag whose value is the class (ViewPosition, BodyPartExamined).

    Raises:
        SynthgenError: there is no such tag, or it could tell who an image shows.
    """

    label: str | None = None

    kind: ClassVar[str] = "dicom"
    reading: ClassVar[tuple[str, ...]] = (*ImageFolder.reading, "label")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label is not None:
            _require_label(self.label)

    @property
    def name(self) -> str:
        return Path(super().name).stem

    def listing(self) -> Listing:
        root = existing(self.root, "data.root")
        if root.is_dir():
            listed = list_all(root) if self.label else super().listing()
        else:
            members = members_of(root)
            listed = list_members(members) if self.label else self._as_folders(root, members)
        return labelled(listed, self.label, patients=self.patients)

    def _as_folders(self, root: Path, members: "dict[str, ZipMember]") -> Listing:
        """The listing of an archive as that of a folder with such files, but empty ones."""
        with tempfile.TemporaryDirectory() as temporary:
            mirror = Path(temporary) / root.stem
            mirror.mkdir()
            for name in members:
                place = mirror / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()

            def said(sentence: object) -> str:
                return str(sentence).replace(str(mirror), str(root))

            try:
                listing = ImageFolder.listing(replace(self, root=str(mirror)))
            except UnclearLayoutError as error:
                ways = [way for way in error.ways if way.root is None]  # there is no such folder
                raise UnclearLayoutError(said(error), ways) from None
            except SynthgenError as error:
                raise SynthgenError(said(error)) from None
            places = [Path(str(path)).relative_to(mirror).as_posix() for path in listing.paths]
        return replace(
            listing,
            paths=tuple(members[place] for place in places),
            problems=tuple(SynthgenError(said(problem)) for problem in listing.problems),
            notes=tuple(said(note) for note in listing.notes),
        )


def _require_label(keyword: str) -> None:
    datadict = pydicom().datadict
    tag = datadict.tag_for_keyword(keyword)
    if tag is None:
        raise SynthgenError(
            f"data.label={keyword} is no keyword of DICOM.\n"
            "Give one like ViewPosition, BodyPartExamined or SeriesDescription."
        )
    if datadict.dictionary_VR(tag) != CODES and keyword not in OTHER_LABELS:
        raise SynthgenError(
            f"data.label={keyword} could tell who an image shows, and names of classes are "
            "published with a set.\n"
            f"Give a tag of code words (ViewPosition, BodyPartExamined), or one of "
            f"{', '.join(OTHER_LABELS)}; or sort the files into class folders."
        )


# Which files hold pictures, and of which class they are by their tag.


@dataclass(frozen=True)
class Look:
    """What a file is, if it holds no picture; else the values of the tags that were asked for, ""
    for none."""

    other: str | None
    values: Mapping[str, str] = field(default_factory=dict)


def labelled(listing: Listing, keyword: str | None, *, patients: str = "group") -> Listing:
    """Less what holds no picture; with the values of a tag as classes, if there is a keyword.
    ``patients``: see :class:`MedicalFiles`."""
    asked = (PATIENT, *([keyword] if keyword else []))
    looks = for_each(lambda file: look(file, asked), listing.paths, "Looking for pictures")
    kept = [index for index, found in enumerate(looks) if found.other is None]
    if not kept:
        raise SynthgenError(
            f"Of {len(looks):,} files none is a DICOM file with a picture.\n"
            "Give the folder or ZIP archive that holds the images; data=image_folder reads other "
            "kinds (NIfTI, PNG)."
        )
    listing = replace(
        listing,
        paths=tuple(listing.paths[index] for index in kept),
        names=tuple(listing.names[index] for index in kept),
        labels=tuple(listing.labels[index] for index in kept),
        split=tuple(listing.split[index] for index in kept),
        groups=tuple(listing.groups[index] for index in kept),
        notes=(*listing.notes, *left_out(looks)),
    )
    if keyword is None:
        listing = replace(listing, tree=_recounted(listing))
        of = {
            (label, looks[index].values.get(PATIENT, ""))
            for label, index in zip(listing.labels, kept, strict=True)
        }
        if patients == "ignore" or not _one_patient_each(of):
            return listing
        return replace(listing, problems=(*listing.problems, _patients_are_no_classes(listing)))
    values = [looks[index].values.get(keyword, "") for index in kept]
    empty = [name for name, value in zip(listing.names, values, strict=True) if not value]
    if empty:
        raise SynthgenError(
            f"{len(empty):,} of {len(values):,} DICOM files have no {keyword}, {empty[0]} for one."
            "\nTake them away, or sort the files into class folders."
        )
    classes = label_names(values)
    require_safe_names(classes)
    alone = (f"All files have the {keyword} {classes[0]}, so there is one class.",)
    listing = replace(
        listing,
        labels=tuple(map(classes.index, values)),
        classes=classes,
        notes=(*listing.notes, *(alone if len(classes) == 1 else ())),
    )
    return replace(listing, tree=_recounted(listing))


def _recounted(listing: Listing) -> Tree | None:
    """The tree of what is left."""
    tree = listing.tree
    if tree is None:
        return None
    folders: dict[str | None, tuple[str, ...]] = dict(tree.splits)
    return Tree.of(
        tree.name, listing.classes, listing.labels, listing.split, folders, tree.left_out
    )


def _one_patient_each(of: set[tuple[int, str]]) -> bool:
    """Whether each class has one patient, and each patient one class."""
    names = {patient for _, patient in of}
    return len(of) == len(names) == len({label for label, _ in of}) > 1 and "" not in names


def _patients_are_no_classes(listing: Listing) -> SynthgenError:
    return SynthgenError(
        f"Each of the {len(listing.classes):,} folders taken for classes holds one patient "
        f"({listing.classes[0]}, …), so they are no classes.\nTake the classes from a tag, "
        "data.label=ViewPosition say; or from a table by patient, data=csv data.path=TABLE "
        f"data.key={PATIENT} data.folder=FOLDER; or sort the files into class folders."
    )


def look(file: ImageFile, keywords: Sequence[str]) -> Look:
    """Raises ImageFileError for a damaged file if other tags than the patient's are asked for; else
    whoever reads it says more."""
    try:
        ds = _tags(file, ["Rows", "DirectoryRecordSequence", *keywords])
    except ImageFileError:
        if set(keywords) <= {PATIENT}:
            return Look(None)
        raise
    if ds is None:
        return Look("no DICOM")
    if "DirectoryRecordSequence" in ds:
        return Look("DICOMDIR")
    if "Rows" not in ds:
        kind = ds.file_meta.get("MediaStorageSOPClassUID")
        return Look(kind.name.removesuffix(" Storage") if kind else "of no kind")
    try:
        with damaged_values():
            return Look(None, {keyword: _text(ds.get(keyword)) for keyword in keywords})
    except DicomReader.broken as error:
        raise corrupt(file, error) from error


def _text(value: Any) -> str:
    """What a tag holds, in one line."""
    several = [value or ""] if value is None or isinstance(value, str) else list(value)
    return " ".join(str(one) for one in several).strip()


def _tags(file: ImageFile, keywords: list[str]) -> Any:
    """A data set of these tags; None for what is no DICOM. Raises ImageFileError."""
    with opened(file) as stream:
        try:
            head = stream.read(HEAD)
            stream.seek(0)
            if not DicomReader().begins(head, file.name):
                return None
            with damaged_values():
                return pydicom().dcmread(
                    stream, stop_before_pixels=True, force=True, specific_tags=keywords
                )
        except DicomReader.broken as error:
            raise corrupt(file, error) from error


def left_out(looks: Sequence[Look]) -> Iterator[str]:
    kinds = Counter(found.other for found in looks if found.other is not None)
    if kinds:
        listed = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common(6))
        files = "file" if kinds.total() == 1 else "files"
        yield f"Left out {kinds.total():,} {files} without a picture ({listed})."


def list_all(root: Path) -> Listing:
    """Every file in a folder, and below, but for hidden ones."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    names = [path.relative_to(root).as_posix() for path in paths]
    shown = [index for index, name in enumerate(names) if not _hidden(PurePosixPath(name).parts)]
    return _unlabelled([paths[index] for index in shown], [names[index] for index in shown])


def list_members(members: "dict[str, ZipMember]") -> Listing:
    """Every file of an archive."""
    return _unlabelled(list(members.values()), list(members))


def _unlabelled(paths: Sequence[ImageFile], names: Sequence[str]) -> Listing:
    none = (None,) * len(paths)
    return Listing(tuple(paths), tuple(names), (0,) * len(paths), ("",), none, none)


def _hidden(parts: Sequence[str]) -> bool:
    return any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in parts)


# A ZIP archive, which is read and never unpacked.


class ZipMember(FileBytes):
    """A file of an archive; its content is read whenever it is asked for."""

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        object.__setattr__(self, "name", f"{archive.filename}/{entry.filename}")
        object.__setattr__(self, "archive", archive)
        object.__setattr__(self, "entry", entry)

    def __repr__(self) -> str:
        return self.name

    def __getattr__(self, name: str) -> Any:
        """``content``.

        Raises:
            ImageFileError: the archive is damaged there.
        """
        if name != "content":
            raise AttributeError(name)
        try:
            return self.archive.read(self.entry)
        except (
            OSError,
            EOFError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise corrupt(self, error) from error


def members_of(path: Path) -> dict[str, ZipMember]:
    """The files of an archive by their paths, less what systems leave behind.

    Raises:
        SynthgenError: it is no sound ZIP archive, or has paths that lead out of it, links, names
            that occur twice, encrypted or huge files.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise SynthgenError(
            f"data.root={path} is neither a folder nor a sound ZIP archive ({error}).\n"
            "Give the folder of the DICOM files, or a ZIP of it."
        ) from error
    found: dict[str, ZipMember] = {}
    for entry in archive.infolist():
        parts = PurePosixPath(entry.filename).parts
        if entry.is_dir() or _hidden(parts):
            continue
        problem = _problem(entry, parts) or ("occurs twice" if entry.filename in found else None)
        if problem:
            raise SynthgenError(
                f"{path}: {entry.filename[:80]!r} {problem}.\nUnpack it yourself, or pack it again."
            )
        found[entry.filename] = ZipMember(archive, entry)
    if not found:
        raise SynthgenError(f"{path} holds no files.\nGive a ZIP archive with DICOM files.")
    return found


def _problem(entry: zipfile.ZipInfo, parts: tuple[str, ...]) -> str | None:
    problems = {
        "leads out of the archive": ".." in parts or parts[0] == "/" or "\\" in entry.filename,
        "is a link": stat.S_ISLNK(entry.external_attr >> 16),
        "is encrypted": bool(entry.flag_bits & 1),
        f"has more than {MOST_BYTES >> 30} GiB": entry.file_size > MOST_BYTES,
    }
    return next((problem for problem, there in problems.items() if there), None)
