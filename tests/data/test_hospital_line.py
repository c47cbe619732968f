"""A ward's DICOM folder through the whole line: nothing that is written or said tells who was
shown."""

import contextlib
import zlib
from pathlib import Path

import numpy as np
import pytest
from dicom_files import SECRETS, write_dicom
from pydicom import dcmread
from pydicom.data import get_testdata_files

QUICK = ("plan.per_class=4", "extractor=pixels", "judge=mlp", "judge.steps=2", "seeds=1")
FILE = "Mustermann_Erika_"  # of files, as exports call them after patients


def ward(root, digits):
    """Official splits; one patient is in both, and one picture is there twice."""
    pixels, labels = digits
    for label, name in enumerate(("healthy", "ill")):
        for number, image in enumerate(pixels[labels == label][:40]):
            split = "test" if number >= 30 else "train"
            tags = {**SECRETS, "SOPInstanceUID": None} | {
                "PatientID": f"{SECRETS['PatientID']}-{label}-{number % 31}",
                "BurnedInAnnotation": "YES",
                "RescaleSlope": 1,
                "RescaleIntercept": -1024,
            }
            content = image.astype(np.int16) * 4
            write_dicom(root / split / name / f"{FILE}{number:03d}.dcm", content, **tags)
    write_dicom(root / "train" / "ill" / f"{FILE}again.dcm", content, **tags)
    (root / "train" / f"{FILE}letter.bin").write_bytes(b"what a note to the owner names")


def unpacked(path):
    """What a file holds; the streams of a PDF or PNG as they are before they are packed, too."""
    content = path.read_bytes()
    parts = [content]
    for start in (b"stream\n", b"stream\r\n", b"IDAT"):
        at = content.find(start)
        while at >= 0:
            with contextlib.suppress(zlib.error):
                parts.append(zlib.decompressobj().decompress(content[at + len(start) :]))
            at = content.find(start, at + 1)
    return b"\n".join(parts)


def line(synthgen, *data):
    """What the check and a whole run wrote and said, by path; the check's is the owner's own."""
    checked = synthgen("data", "check", *data, "out=check")
    ran = synthgen("run", *data, "model=pca_gaussian", "logger=csv", *QUICK, "out=run")
    for outcome in (checked, ran):
        assert outcome.code == 0, outcome.err
    written = [path for folder in ("check", "run") for path in Path(folder).rglob("*")]
    contents = {path: unpacked(path) for path in written if path.is_file()}
    names = {path.name for path in contents}
    assert {"check.json", "split.json", "config.yaml", "sampler.json", "report.json"} <= names
    assert {"dataset.json", "manifest.jsonl", "README.md"} <= names
    contents[Path("check", "terminal")] = (checked.out + checked.err).encode()
    contents[Path("terminal")] = (ran.out + ran.err).encode()
    return contents


def test_nobody_is_named_in_what_is_written(synthgen, digits):
    ward(Path("ward"), digits)
    contents = line(synthgen, "data=dicom", "data.root=ward")
    said = contents[Path("terminal")].decode()
    assert "patients" in said
    assert "were dropped from training" in said  # the patient in both splits
    assert "writing is burnt into the picture" in said
    for keyword, value in SECRETS.items():
        parts = {part for part in (value, *value.split("^")) if len(part) > 3}
        for path, content in contents.items():
            for part in parts:
                if path.parts[0] == "run" or part not in FILE:  # the others name files to the owner
                    assert part.encode() not in content, (keyword, path)
    assert FILE.encode() in contents[Path("check/check.json")]
    assert FILE in said
    for path, content in contents.items():
        assert path.parts[0] != "run" or FILE.encode() not in content, path


@pytest.mark.slow
def test_nobody_is_named_of_those_in_pydicoms_own_files(synthgen):
    values = set()
    found = [name for name in get_testdata_files() if "dicomdirtests" in name]
    for number, name in enumerate(sorted(name for name in found if Path(name).name.isdigit())):
        ds = dcmread(name) if Path(name).is_file() else {}
        if ds.get("Modality") in ("CT", "MR"):
            Path("ward").mkdir(exist_ok=True)
            Path("ward", f"{number}").write_bytes(Path(name).read_bytes())
            values |= {
                str(element.value)
                for element in ds.iterall()
                if element.VR in ("PN", "UI", "DA", "TM")
                or element.keyword in ("PatientID", "StudyID", "AccessionNumber", "StationName")
            }
    # Fewer digits than a date's are found in any digest.
    identifying = {v for v in values if len(v) > 7 and not v.startswith("1.2.840.10008")}
    assert len(identifying) > 50
    contents = line(
        synthgen, "data=dicom", "data.root=ward", "data.label=Modality", "data.patients=ignore"
    )
    for value in identifying:
        for path, content in contents.items():
            assert value.encode() not in content, (value, path)
