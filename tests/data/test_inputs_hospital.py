"""What hospitals have: each kind of input, what is read of it, what is said, what is refused. The
check and training must say the same."""

import csv
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom_files import write_dicom
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from synthgen.data import CSV, DICOMFolder, ImageFolder, MedMNIST, Source, check, prepare
from synthgen.errors import SynthgenError

Write = Callable[[Path, np.ndarray], object]
CLASSES = ("healthy", "ill")
EACH = 9  # images of each class, each of its own patient


@dataclass(frozen=True)
class Input:
    """``make`` writes it below a folder and returns its source.

    Attributes:
        image: (channels, height, width) of what is read; None: it is refused.
        said: parts of the notes, or of the refusal.
        bits: of what is read.
    """

    make: Callable[[Path, np.ndarray], Source]
    image: tuple[int, int, int] | None
    said: tuple[str, ...]
    classes: tuple[str, ...] = CLASSES
    bits: int = 8


def files(
    write: Write, ending: str = ".dcm", source: type = ImageFolder, **options: Any
) -> Callable[[Path, np.ndarray], Source]:
    """``write(path, digit)`` for each file of two class folders."""

    def make(root: Path, digits: np.ndarray) -> Source:
        for number, digit in enumerate(digits[: 2 * EACH]):
            path = root / "set" / CLASSES[number % 2] / f"{number:03d}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, digit)
        return source(root=str(root / "set"), **options)

    return make


def dicom(change: Callable[[np.ndarray], np.ndarray] = lambda x: x.astype(np.uint16), **tags: Any):
    """A writer of one DICOM file with these tags, of a patient of its own."""

    def write(path: Path, digit: np.ndarray) -> None:
        write_dicom(path, change(digit), **{"PatientID": path.stem, **tags})

    return write


def hounsfield(digit):
    return digit.astype(np.int16) * 8


CT = {"RescaleSlope": 1, "RescaleIntercept": -1024}
FILE_WINDOW = {"WindowCenter": 40, "WindowWidth": 400}


def colours(digit):
    return np.stack([digit, 255 - digit, digit // 2], axis=-1)


def planes(digit):
    return np.ascontiguousarray(colours(digit).transpose(2, 0, 1)).reshape(8, 8, 3)


def frames(digit):
    return np.stack([digit.astype(np.uint16) + k for k in range(3)])


def palette():
    entries = np.arange(256, dtype=np.uint8)
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for shift, colour in enumerate(("Red", "Green", "Blue")):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        tags[f"{colour}PaletteColorLookupTableData"] = np.roll(entries, shift).tobytes()
    return tags


def own_groups():
    """Functional groups with one slope and window for all frames."""
    shared, transform, window = Dataset(), Dataset(), Dataset()
    transform.RescaleSlope, transform.RescaleIntercept = 1, -1024
    window.WindowCenter, window.WindowWidth = -900, 300
    shared.PixelValueTransformationSequence = [transform]
    shared.FrameVOILUTSequence = [window]
    return [shared]


def overlay(path, digit):
    write_dicom(path, digit, PatientID=path.stem)
    ds = dcmread(path)
    ds.add_new(0x60003000, "OW", b"\0" * 8)
    ds.save_as(path)


def compressed(syntax):
    def write(path: Path, digit: np.ndarray) -> None:
        large = digit.astype(np.uint16).repeat(4, 0).repeat(4, 1)  # smaller ones OpenJPEG refuses
        ds = dcmread(write_dicom(path, large, PatientID=path.stem))
        ds.compress(syntax)
        ds.save_as(path)

    return write


def bare(path, digit):
    """Without the preamble and the file's own header, as old scanners write."""
    write_dicom(path, digit.astype(np.uint16), PatientID=path.stem)
    ds = dcmread(path)
    with path.open("wb") as file:
        stream = DicomFileLike(file)
        stream.is_implicit_VR, stream.is_little_endian = True, True
        write_dataset(stream, ds)


def cut(path, digit):
    write_dicom(path, digit)
    path.write_bytes(path.read_bytes()[:-30])


def every_other(one: Write, other: Write) -> Write:
    """``other`` for the last two files."""

    def write(path: Path, digit: np.ndarray) -> None:
        last = int(path.stem) >= 2 * EACH - 2
        (other if last else one)(path, digit)

    return write


def png(path, digit):
    Image.fromarray(digit).save(path.with_suffix(".png"))


def with_others(source: type, *names: str, place: str = "ill", **options: Any):
    """Class folders of DICOM with other files of pydicom beside the images."""

    def make(root: Path, digits: np.ndarray) -> Source:
        files(dicom())(root, digits)
        for name in names:
            target = root / "set" / place / name.replace("DICOMDIR", "INDEX")
            target.write_bytes(Path(get_testdata_file(name)).read_bytes())
        return source(root=str(root / "set"), **options)

    return make


def zipped(more: Iterable[str] = (), **options: Any):
    def make(root: Path, digits: np.ndarray) -> Source:
        files(dicom(ViewPosition="PA"))(root, digits)
        with zipfile.ZipFile(root / "ward.zip", "w") as archive:
            for path in sorted((root / "set").rglob("*.dcm")):
                archive.write(path, path.relative_to(root / "set"))
            for name in more:
                archive.writestr(name, b"x")
        return DICOMFolder(root=str(root / "ward.zip"), **options)

    return make


def views(missing: int = 0, of: tuple[str, str] = ("PA", "LATERAL")):
    """A flat export whose classes are told by a tag."""

    def make(root: Path, digits: np.ndarray) -> Source:
        for number, digit in enumerate(digits[: 2 * EACH]):
            view = None if number < missing else of[number % 2]
            write_dicom(
                root / "set" / f"IM{number}", digit, ViewPosition=view, PatientID=str(number)
            )
        return DICOMFolder(root=str(root / "set"), label="ViewPosition")

    return make


def table(root, digits):
    """A CSV that lists DICOM files with its own groups."""
    files(dicom(PatientID="ONE"))(root, digits)
    with (root / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "group"])
        for number in range(2 * EACH):
            label = CLASSES[number % 2]
            rows.writerow([f"set/{label}/{number:03d}.dcm", label, f"film {number // 2}"])
    return CSV(path=str(root / "list.csv"))


def nifti(change=lambda x: x, affine=None, ending=".nii.gz", kind=nibabel.Nifti1Image, **options):
    """Volumes of which each slice is a digit with another brightness."""

    def write(path: Path, digit: np.ndarray) -> None:
        values = np.stack([digit.astype(np.int16) * k for k in range(5)], axis=-1)
        kind(change(values), np.eye(4) if affine is None else affine).to_filename(path)

    return files(write, ending, **options)


def medmnist(name: str, size: int = 8, findings: int = 0, depth: int = 0, **options: Any):
    def make(root: Path, digits: np.ndarray) -> Source:
        content = {}
        for place, prefix in enumerate(("train", "val", "test")):
            images = digits[20 * place : 20 * (place + 1)].repeat(size // 8, 1).repeat(size // 8, 2)
            if depth:
                images = np.stack([images // (k + 1) for k in range(depth)], axis=1)
            labels = np.arange(20)[:, None] % 2
            if findings:
                labels = (np.arange(20)[:, None] + np.arange(findings)) % 2
            content |= {f"{prefix}_images": images, f"{prefix}_labels": labels.astype(np.uint8)}
        np.savez(root / name, **content)
        return MedMNIST(path=str(root / name), **options)

    return make


GREY, RGB = (1, 8, 8), (3, 8, 8)
CT_WINDOWED = dicom(hounsfield, **CT, **FILE_WINDOW)
INPUTS = {
    # DICOM: levels
    "CT with a window": Input(files(CT_WINDOWED), GREY, ("levels (center 40, width 400; data",)),
    "CT, Hounsfield units": Input(
        files(dicom(hounsfield, **CT)), GREY, ("18 of 18 have no window", "Levels -1024 to")
    ),
    "CT, a window given": Input(
        files(CT_WINDOWED, window=[-600, 1500]), GREY, ("data.window (center -600, width 1500)",)
    ),
    "CT, all levels": Input(files(CT_WINDOWED, window="full"), GREY, ("Levels -1024 to",)),
    "CT in 16 bits": Input(
        files(CT_WINDOWED, window="full", bits=16), GREY, ("become 0 to 65,535",), bits=16
    ),
    "CT, a range given": Input(
        files(CT_WINDOWED, window="full", range=[-1000, 1000]), GREY, ("as data.range says",)
    ),
    "CT with and without a window": Input(
        files(every_other(CT_WINDOWED, dicom(hounsfield, **CT))), None,
        ("has signed levels", "data.window=full or"),
    ),
    "MR, each with a window of its own": Input(
        files(dicom(Modality="MR", **FILE_WINDOW)), GREY, ("file, in 32,768 levels (data.window",)
    ),
    "12 bits, white is zero": Input(
        files(dicom(BitsStored=12, PhotometricInterpretation="MONOCHROME1")), GREY,
        ("18 of 18 call white zero (MONOCHROME1) and were turned", "Levels 0 to 4095"),
    ),
    "signed values": Input(files(dicom(hounsfield)), GREY, ("have no window",)),
    "a slope that is no whole number": Input(
        files(dicom(RescaleSlope=0.5, RescaleIntercept=0)), GREY, ("Levels 0 to",)
    ),
    "values that are no part of the picture": Input(
        files(dicom(PixelPaddingValue=0)), GREY, ("no part of the picture, which became black",)
    ),
    # DICOM: forms
    "RGB": Input(files(dicom(colours)), RGB, ()),
    "RGB plane by plane": Input(files(dicom(planes, PlanarConfiguration=1)), RGB, ()),
    "a palette": Input(files(dicom(lambda x: x, **palette())), RGB, ("turned into RGB",)),
    "RLE": Input(files(compressed(RLELossless)), (1, 32, 32), ()),
    "JPEG 2000": Input(files(compressed(JPEG2000Lossless)), (1, 32, 32), ()),
    "HSV": Input(
        files(dicom(colours, PhotometricInterpretation="HSV")), None, ("photometric form HSV",)
    ),
    "an overlay": Input(files(overlay), GREY, ("have overlays, which were left out",)),
    "without beginning": Input(files(bare, ".IMA"), GREY, ()),
    "without ending": Input(files(dicom(), ""), GREY, ()),
    "cut off": Input(files(every_other(dicom(), cut)), None, ("can't be decoded",)),
    "beside PNG": Input(files(every_other(dicom(lambda x: x), png)), GREY, ()),
    # DICOM: frames
    "frames": Input(
        files(dicom(frames, NumberOfFrames=3)), GREY, ("the middle one was taken (data.frame=",)
    ),
    "the first frame": Input(
        files(dicom(frames, NumberOfFrames=3), frame="first"), GREY, ("number 0 (from 0)",)
    ),
    "a frame that isn't there": Input(
        files(dicom(frames, NumberOfFrames=3), frame=3), None, ("3 frames, 0 to 2",)
    ),
    "functional groups": Input(
        files(dicom(frames, NumberOfFrames=3, SharedFunctionalGroupsSequence=own_groups())), GREY,
        ("center -900, width 300",),
    ),
    # DICOM: people
    "patients": Input(files(dicom()), GREY, ("18 images are of 18 patients",)),
    "one patient": Input(
        files(dicom(PatientID="ANONYMOUS")), None, ("data.patients=ignore lets",)
    ),
    "one patient, ignored": Input(files(dicom(PatientID="ANONYMOUS"), patients="ignore"), GREY, ()),
    "no patient named": Input(
        files(dicom(PatientID=None, StudyInstanceUID="1.2.3")), None, ("data.patients=ignore",)
    ),
    "nobody named": Input(files(dicom(PatientID="")), GREY, ()),
    "groups of a table": Input(table, GREY, ()),
    "burnt-in names": Input(files(dicom(BurnedInAnnotation="YES")), GREY, ("writing is burnt",)),
    "ultrasound": Input(files(dicom(Modality="US")), GREY, ("don't say whether writing",)),
    # DICOM: exports
    "an index and a report": Input(
        with_others(DICOMFolder, "DICOMDIR", "test-SR.dcm"), GREY,
        ("Left out 2 files without a picture (", "Comprehensive SR 1"),
    ),
    "a report among images": Input(
        with_others(ImageFolder, "test-SR.dcm"), None,
        ("is a DICOM file without a picture (Comprehensive SR)",),
    ),
    "a ZIP archive": Input(zipped(), GREY, ("18 patients",)),
    "a ZIP archive by tag": Input(zipped(label="Modality"), GREY, (), ("CT",)),
    "a ZIP archive that leads out": Input(zipped(["../x"]), None, ("leads out of the archive",)),
    "classes by tag": Input(views(), GREY, (), ("LATERAL", "PA")),
    "one class by tag": Input(
        views(of=("PA", "PA")),
        GREY,
        ("All files have the ViewPosition PA, so there is one class.",),
        ("PA",),
    ),
    "classes by a tag that lacks": Input(views(2), None, ("2 of 18 DICOM files have no ViewPos",)),
    # NIfTI
    "NIfTI": Input(nifti(), GREY, ("the middle axial one was taken (data.frame=",)),
    "NIfTI, a slice": Input(nifti(frame=1), GREY, ("of whose slices one was taken",)),
    "NIfTI, no such slice": Input(nifti(frame=5), None, ("holds 5 slices, 0 to 4",)),
    "NIfTI of real values": Input(
        nifti(lambda x: x / np.float32(2048), ending=".nii"), GREY, ("Levels 0 to 1 (every",)
    ),
    "NIfTI over time": Input(
        nifti(lambda x: np.stack([x, x], -1)), GREY, ("several volumes, of which the first",)
    ),
    "half a NIfTI": Input(nifti(kind=nibabel.Nifti1Pair, ending=".hdr"), None, ("one half of a",)),
    # MedMNIST
    "BreastMNIST": Input(medmnist("breastmnist.npz"), GREY, (), ("malignant", "normal, benign")),
    "BreastMNIST of 128": Input(
        medmnist("breastmnist_128.npz", 128), (1, 64, 64), ("scaled to a longer side of 64",),
        ("malignant", "normal, benign"),
    ),
    "MedMNIST of another name": Input(medmnist("x.npz"), GREY, ("by their numbers",), ("0", "1")),
    "MedMNIST that is named": Input(
        medmnist("x.npz", names="pneumoniamnist"), GREY, (), ("normal", "pneumonia")
    ),
    "MedMNIST named wrongly": Input(
        medmnist("x.npz", names="chestmnist"), None, ("has 2 labels, but chestmnist has 14",)
    ),
    "ChestMNIST": Input(
        medmnist("chestmnist.npz", findings=14), None, ("data.label=NAME with one of atelect",)
    ),
    "ChestMNIST, a finding": Input(
        medmnist("chestmnist.npz", findings=14, label="edema"), GREY, ("whatever else they show",),
        ("no edema", "edema"),
    ),
    "NoduleMNIST3D": Input(
        medmnist("nodulemnist3d.npz", depth=4), None, ("data.slice=2 is the middle",)
    ),
    "NoduleMNIST3D, a slice": Input(
        medmnist("nodulemnist3d.npz", depth=4, slice=2), GREY, ("Slice 2 of 0 to 3",),
        ("benign", "malignant"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_read_and_said(tmp_path, digits, name):
    wanted = INPUTS[name]
    source = wanted.make(tmp_path, digits[0])
    splits, refusal = outcome_of(prepare, source)
    notes = splits.notes if splits else ()
    if wanted.image is None:
        assert refusal is not None
        assert len(refusal.splitlines()) == 2
        for said in wanted.said:
            assert said in refusal
    else:
        assert refusal is None
        image = splits.train.image
        assert (image.shape, image.classes, image.bits) == (
            wanted.image,
            wanted.classes,
            wanted.bits,
        )
        for said in wanted.said:
            assert any(said in note for note in notes), (said, notes)
    result, stopped = outcome_of(check, source)
    assert (stopped or result.refusal) == refusal
    assert stopped or result.refusal or result.notes == notes


def outcome_of(function, source):
    """What it returns, or what it refuses with."""
    try:
        return function(source), None
    except SynthgenError as error:
        return None, str(error)


def test_there_are_enough_of_them():
    assert len(INPUTS) >= 30
    assert sum(one.image is None for one in INPUTS.values()) >= 12


def test_the_tree_counts_what_is_left(tmp_path, digits):
    source = with_others(DICOMFolder, "DICOMDIR", "test-SR.dcm")(tmp_path, digits[0])
    tree = source.listing().tree
    assert sum(count for _, row in tree.counts for count in row) == 2 * EACH
