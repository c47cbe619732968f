"""A table by patient, study, series or picture, joined with DICOM files by their tags."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_dicom

from synthgen.data import CSV, check, prepare
from synthgen.errors import SynthgenError

PATIENTS, EACH = 12, 2


@pytest.fixture
def export(tmp_path, digits):
    """Two pictures of one study for each patient, in folders as a scanner names them."""
    folder = tmp_path / "EXPORT"
    for number, digit in enumerate(digits[: PATIENTS * EACH]):
        patient, picture = divmod(number, EACH)
        write_dicom(
            folder / f"PAT{patient}" / f"IM{picture}.dcm",
            digit.astype(np.uint16) * 4,
            PatientID=f"KL-{patient:04d}",
            StudyInstanceUID=f"1.2.826.7.{patient}",
            SeriesInstanceUID=f"1.2.826.8.{patient}",
            SOPInstanceUID=f"1.2.826.9.{number}",
            AccessionNumber=f"{patient:06d}",
        )
    (folder / "README.txt").write_text("no picture")
    return folder


@pytest.fixture
def digits():
    from sklearn.datasets import load_digits

    return load_digits().images[:60]


def finding(patient: int) -> str:
    return ("nodule", "none")[patient % 2]


def table(path: Path, head: str, rows: list[str]) -> Path:
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def by_patient(path: Path, form: str = "KL-{:04d}", head: str = "PatientID,finding") -> Path:
    return table(path, head, [f"{form.format(p)},{finding(p)}" for p in range(PATIENTS)])


def source(path: Path, folder: Path, **settings) -> CSV:
    return CSV(path=str(path), folder=str(folder), **{"label": "finding", **settings})


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("PatientID", "KL-{:04d}"),
        ("StudyInstanceUID", "1.2.826.7.{}"),
        ("SeriesInstanceUID", "1.2.826.8.{}"),
        ("AccessionNumber", "{:06d}"),
    ],
)
def test_rows_say_the_class_of_all_files_of_their_id(tmp_path, export, key, form):
    path = by_patient(tmp_path / "t.csv", form, f"{key},finding")
    records = source(path, export, key=key).read()
    classes = [records.images.classes[label] for label in records.images.labels.tolist()]
    patients = [int(name.split("/")[0].removeprefix("PAT")) for name in records.files]
    assert len(classes) == PATIENTS * EACH
    assert classes == [finding(patient) for patient in patients]


def test_images_of_a_patient_share_a_split_whatever_the_key(tmp_path, export):
    rows = [f"1.2.826.9.{n},{finding(n // EACH)}" for n in range(PATIENTS * EACH)]
    path = table(tmp_path / "t.csv", "SOPInstanceUID,finding", rows)
    records = source(path, export, key="SOPInstanceUID").read()
    patients = [name.split("/")[0] for name in records.files]
    assert len(set(zip(patients, records.groups, strict=True))) == PATIENTS
    assert len(set(records.groups)) == PATIENTS


def test_a_group_of_the_table_and_the_patients_both_hold(tmp_path, export):
    rows = [f"1.2.826.7.{p},{finding(p)},room{p // 2}" for p in range(PATIENTS)]
    path = table(tmp_path / "t.csv", "StudyInstanceUID,finding,ward", rows)
    records = source(path, export, key="StudyInstanceUID", group="ward").read()
    assert len(set(records.groups)) == PATIENTS // 2
    rows = [f"1.2.826.9.{n},{finding(n // EACH)},slide{n}" for n in range(PATIENTS * EACH)]
    path = table(tmp_path / "u.csv", "SOPInstanceUID,finding,slide_id", rows)
    apart = source(path, export, key="SOPInstanceUID", patients="ignore").read()
    assert len(set(apart.groups)) == PATIENTS * EACH
    assert len(set(source(path, export, key="SOPInstanceUID").read().groups)) == PATIENTS


def test_ids_that_a_spreadsheet_made_numbers_of_are_found(tmp_path, export):
    path = by_patient(tmp_path / "t.csv", "{}", "AccessionNumber,finding")
    records = source(path, export, key="AccessionNumber").read()
    assert len(records.files) == PATIENTS * EACH
    assert any("leading zeros" in note for note in records.notes)


def test_two_ids_that_differ_in_zeros_alone_stay_two(tmp_path, export):
    rows = [*(f"{p},{finding(p)}" for p in range(PATIENTS)), "001,nodule"]
    path = table(tmp_path / "t.csv", "AccessionNumber,finding", rows)
    with pytest.raises(SynthgenError, match="No file has a AccessionNumber"):
        source(path, export, key="AccessionNumber").read()


def test_what_has_no_partner_is_counted(tmp_path, export):
    rows = [f"KL-{p:04d},{finding(p)}" for p in range(2, PATIENTS)] + ["KL-9999,none", ",none"]
    path = table(tmp_path / "t.csv", "PatientID,finding", rows)
    records = source(path, export, key="PatientID").read()
    said = " ".join(records.notes)
    assert len(records.files) == (PATIENTS - 2) * EACH
    assert "20 files were joined with 10 of 11 rows by PatientID." in said
    assert "Left out 4 of 24 files: no row with a label has their PatientID." in said
    assert "1 of 11 rows have no file of their PatientID." in said
    assert "1 row has no PatientID" in said
    assert "Left out 1 file without a picture (no DICOM 1)." in said


def test_no_match_is_refused_by_the_form_of_ids_alone(tmp_path, export):
    path = by_patient(tmp_path / "t.csv", "XY{:03d}")
    with pytest.raises(SynthgenError) as refused:
        source(path, export, key="PatientID").read()
    said = str(refused.value)
    assert "the files' are like AA-9999, the rows' like AA999" in said
    assert "KL-" not in said
    assert "XY0" not in said


def test_another_tag_that_matches_is_named(tmp_path, export):
    path = by_patient(tmp_path / "t.csv", "{:06d}")
    with pytest.raises(
        SynthgenError, match=r"12 rows hold the AccessionNumber of files: data\.key="
    ):
        source(path, export, key="PatientID").read()


def test_rows_of_one_id_that_differ_are_refused_without_it(tmp_path, export):
    rows = ["KL-0001,nodule", "KL-0001,none", "KL-0002,none"]
    path = table(tmp_path / "t.csv", "PatientID,finding", rows)
    with pytest.raises(SynthgenError, match=r"gives one PatientID another label \(finding\)") as no:
        source(path, export, key="PatientID").read()
    assert "KL-" not in str(no.value)


def test_a_table_of_ids_without_a_key_says_how_to_join_it(tmp_path, export):
    path = by_patient(tmp_path / "t.csv", head="Patient ID,finding")
    with pytest.raises(SynthgenError, match=r"data\.key=PatientID data\.folder=FOLDER"):
        source(path, export).read()
    with pytest.raises(SynthgenError, match=r"has no column StudyInstanceUID.*\n.*data\.image="):
        source(path, export, key="StudyInstanceUID").read()


def test_the_column_of_ids_may_have_any_name_and_the_files_lie_in_an_archive(tmp_path, export):
    path = by_patient(tmp_path / "t.csv", head="Fallnummer,finding")
    archive = tmp_path / "EXPORT.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(export.rglob("*.dcm")):
            packed.write(file, file.relative_to(export))
    records = source(path, archive, key="PatientID", image="Fallnummer").read()
    assert len(records.files) == PATIENTS * EACH


def test_check_and_training_agree_and_name_nobody(tmp_path, export):
    joined = source(by_patient(tmp_path / "t.csv"), export, key="PatientID")
    splits = prepare(joined)
    result = check(joined)
    assert result.usable
    assert result.splits.digest == splits.digest
    said = f"{result.notes} {result.refusal} {splits.notes} {splits.recipe} {splits.assignment}"
    assert "KL-" not in said
    assert "1.2.826." not in said
    assert len(set(splits.train_groups.tolist())) == len(splits.train) // EACH
