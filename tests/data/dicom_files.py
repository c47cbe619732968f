"""DICOM files, made in a few lines."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

# Values that no file of ours must hold: of every tag that tells who is shown, by whom, when, where.
SECRETS = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "PID-4711-XYZ",
    "PatientBirthDate": "19431231",
    "PatientAddress": "Heidestrasse 17 Koeln",
    "OtherPatientNames": "Gabler^Erika",
    "PatientTelephoneNumbers": "0221-555-0199",
    "PatientComments": "neighbour of the mayor",
    "AccessionNumber": "ACC998877",
    "StudyID": "STU5566",
    "StudyDate": "20190203",
    "StudyTime": "112233.445",
    "InstitutionName": "Sankt Beispiel Klinik",
    "InstitutionAddress": "Klinikweg 1",
    "ReferringPhysicianName": "Arzt^Ref",
    "PerformingPhysicianName": "Doktor^Per",
    "OperatorsName": "Bediener^Op",
    "StationName": "CTSTATION9",
    "DeviceSerialNumber": "SN-77-31",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.111111",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.222222",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.333333",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.444444",
}


def write_dicom(
    path: Path, pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, **tags
) -> Path:
    """Grey ``(H, W)``, colour ``(H, W, 3)`` or, with NumberOfFrames, several; a tag of None is left
    out."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3 and "NumberOfFrames" not in tags
    bits = 8 * pixels.dtype.itemsize
    standard = {
        "Rows": pixels.shape[1 if "NumberOfFrames" in tags else 0],
        "Columns": pixels.shape[2 if "NumberOfFrames" in tags else 1],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": tags.get("BitsStored", bits) - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PlanarConfiguration": 0 if colour else None,
        "Modality": "CT",
    }
    for keyword, value in {**standard, **tags}.items():
        if value is not None:
            setattr(ds, keyword, value)
    little = pixels.astype(pixels.dtype.newbyteorder("<"))
    content = little.tobytes()
    ds.PixelData = content + b"\0" * (len(content) % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path
