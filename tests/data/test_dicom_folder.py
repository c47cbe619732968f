"""Exports of hospitals: folders and ZIP archives of DICOM, classes by folder or by tag."""

import stat
import zipfile

import pytest
import torch
from dicom_files import SECRETS, write_dicom
from pydicom.data import get_testdata_file

from synthgen.data import DICOMFolder, check, prepare
from synthgen.errors import SynthgenError


@pytest.fixture(scope="session")
def export(tmp_path_factory, digits):
    """``ill/`` and ``healthy/`` with 12 pictures of 12 patients each, files as in an export."""
    root = tmp_path_factory.mktemp("export") / "ward"
    pixels, labels = digits
    for label, name in enumerate(("healthy", "ill")):
        for number, image in enumerate(pixels[labels == label][:12]):
            tags = {**SECRETS, "SOPInstanceUID": None, "PatientID": f"{name}-{number}"}
            write_dicom(root / name / f"IM{number:06d}", image, Modality="CR",
                        ViewPosition="LL" if label else "PA", **tags)  # fmt: skip
    return root


def zipped(path, root):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root))
    return path


def test_a_zip_archive_is_read_like_its_folder(tmp_path, export, monkeypatch):
    folder = DICOMFolder(root=str(export)).read()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    source = DICOMFolder(root=str(zipped(tmp_path / "ward.zip", export)))
    archive = source.read()
    assert torch.equal(archive.images.images, folder.images.images)
    assert archive.images.classes == folder.images.classes == ("healthy", "ill")
    assert archive.files == folder.files
    assert archive.groups == folder.groups
    assert source.name == "ward"
    assert not list(temporary.iterdir())
    assert prepare(source).digest == prepare(DICOMFolder(root=str(export))).digest


def test_classes_by_a_tag(tmp_path, export):
    for root in (export, zipped(tmp_path / "ward.zip", export)):
        images = DICOMFolder(root=str(root), label="ViewPosition").read().images
        assert images.classes == ("LL", "PA")
        assert images.counts == [12, 12]
    with pytest.raises(SynthgenError, match="24 of 24 DICOM files have no BodyPartExamined"):
        DICOMFolder(root=str(export), label="BodyPartExamined").read()


@pytest.mark.parametrize(
    "label", ["PatientName", "PatientID", "StudyDate", "StationName", "StudyInstanceUID"]
)
def test_tags_that_tell_who_is_shown_are_no_classes(label):
    with pytest.raises(SynthgenError, match="could tell who"):
        DICOMFolder(root=".", label=label)
    with pytest.raises(SynthgenError, match="no keyword of DICOM"):
        DICOMFolder(root=".", label="View")


def test_what_holds_no_picture_is_left_out(tmp_path, export):
    archive = zipped(tmp_path / "ward.zip", export)
    with zipfile.ZipFile(archive, "a") as more:
        more.write(get_testdata_file("DICOMDIR"), "ill/INDEX")
        more.write(get_testdata_file("test-SR.dcm"), "ill/SR.dcm")
        more.writestr("healthy/LIESMICH.bin", b"no picture")
        more.writestr("ill/.DS_Store", b"\0")
    for label in (None, "ViewPosition"):
        records = DICOMFolder(root=str(archive), label=label).read()
        assert records.images.counts == [12, 12]
        (note,) = (note for note in records.notes if note.startswith("Left out"))
        assert "Left out 3 files" in note
        assert "Comprehensive SR 1" in note
        assert "SR.dcm" not in note


BAD_ZIP = {
    "an escape": ("../out.dcm", "leads out of the archive"),
    "an absolute path": ("/etc/out.dcm", "leads out of the archive"),
    "an escape by back-slash": ("a\\..\\..\\out.dcm", "leads out of the archive"),
    "a link": ("ill/link", "is a link"),
    "an encrypted file": ("ill/secret", "is encrypted"),
    "a name twice": ("ill/IM000001", "occurs twice"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", BAD_ZIP)
def test_bad_archives_are_refused_and_nothing_is_written(tmp_path, export, case):
    name, message = BAD_ZIP[case]
    archive = zipped(tmp_path / "ward.zip", export)
    entry = zipfile.ZipInfo(name)
    if case == "a link":
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr(entry, b"/etc")
    if case == "an encrypted file":
        content = archive.read_bytes()
        at = content.rindex(b"PK\x01\x02") + 8
        archive.write_bytes(content[:at] + b"\x01\x00" + content[at + 2 :])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SynthgenError, match=message):
        DICOMFolder(root=str(archive)).read()
    assert sorted(tmp_path.rglob("*")) == before


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no archive")
    with pytest.raises(SynthgenError, match="neither a folder nor a sound ZIP"):
        DICOMFolder(root=str(tmp_path / "a.zip")).read()
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("a/text.txt", "hello")
    for label in (None, "ViewPosition"):
        with pytest.raises(SynthgenError):
            DICOMFolder(root=str(tmp_path / "b.zip"), label=label).read()


def test_a_damaged_member_is_a_finding(tmp_path, export):
    archive = zipped(tmp_path / "ward.zip", export)
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as found:
        entry = found.getinfo("ill/IM000003")
    start = entry.header_offset + 30 + len(entry.filename)
    content[start + 40 : start + 60] = b"\0" * 20
    archive.write_bytes(content)
    result = check(DICOMFolder(root=str(archive)))
    assert [finding.kind for finding in result.findings if "IM000003" in finding.file] == [
        "corrupt"
    ]
    assert not result.usable


@pytest.mark.parametrize("window", [[40], [40, 0], [1, 2, 3]])
def test_windows_that_are_none(window):
    with pytest.raises(SynthgenError, match="is no window"):
        DICOMFolder(root=".", window=window)


def test_a_folder_for_each_patient_is_no_class(tmp_path, digits):
    for number, image in enumerate(digits[0][:16]):
        patient = f"P{number // 8}"
        write_dicom(tmp_path / patient / "STU1" / f"SER{number}" / "IM1", image, PatientID=patient)
    source = DICOMFolder(root=str(tmp_path))
    said = r"Each of the 2 folders taken for classes holds one patient \(P0, …\).*\n.*data.label="
    with pytest.raises(SynthgenError, match=said):
        source.read()
    assert "holds one patient" in check(source).refusal
    assert DICOMFolder(root=str(tmp_path), patients="ignore").read().images.counts == [8, 8]
