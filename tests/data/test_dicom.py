"""DICOM: values as pydicom decodes them, windows, forms, frames, and what belongs together."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from dicom_files import SECRETS, write_dicom
from pydicom import dcmread
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

from synthgen.data import DICOMFolder, prepare
from synthgen.data.readers import DicomReader, ImageFileError, read_header, read_levels
from synthgen.errors import SynthgenError
from synthgen.images import image_hashes

FULL = (DicomReader(window="full", frame="first"),)
TOP = 2**15 - 1  # of levels that went through a window
NO_PICTURE = {"DICOMDIR", "UN_sequence", "empty_charset_LEI", "meta_missing_tsyntax", "no_meta",
              "nested_priv_SQ", "no_meta_group_length", "priv_SQ", "reportsi", "rtplan", "rtstruct",
              "reportsi_with_empty_number_tags", "rtplan_truncated", "test-SR", "waveform_ecg",
              "ExplVR_BigEndNoMeta", "ExplVR_LitEndNoMeta"}  # fmt: skip
DAMAGED = {"JPEG-lossy", "JPEG2000-embedded-sequence-delimiter", "MR_truncated", "badVR"}
WITH_PADDING = "693_J2KI"  # lossy, and values beyond the padding value


def reference(path):
    """What pydicom makes of a file's first frame, before any window."""
    ds = dcmread(path)
    values = ds.pixel_array
    values = values[0] if int(ds.get("NumberOfFrames") or 1) > 1 else values
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(values, ds)
        return colours >> 8 if colours.max() > 255 else colours
    if ds.PhotometricInterpretation != "MONOCHROME1":
        return apply_modality_lut(values.astype(np.int64), ds) if values.ndim == 2 else values
    turned = 2**ds.BitsStored - 1 - values.astype(np.int64)
    return apply_modality_lut(turned, ds)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_file_of_pydicom_is_read_as_pydicom_does_or_refused():
    read, syntaxes = 0, set()
    for name in sorted(get_testdata_files()):
        path = Path(name)
        if path.is_dir() or not DicomReader().begins(path.read_bytes()[:512], path.name):
            continue
        stem = path.stem.removesuffix(".dcm")
        if stem in NO_PICTURE or stem.startswith(("DICOMDIR", "IM0000")):
            with pytest.raises(ImageFileError) as error:
                read_header(path)
            assert error.value.kind == "not_image", path
        elif stem in DAMAGED:
            with pytest.raises(ImageFileError) as error:
                read_levels(path)
            assert error.value.kind == "corrupt", path
        else:
            raster = read_levels(path, readers=FULL)
            header = raster.header
            assert raster.levels.dtype.isnative
            assert raster.levels.shape[:2] == (header.height, header.width)
            if stem != WITH_PADDING:
                expected = reference(path)
                assert np.abs(raster.levels - expected.astype(np.float64)).max() < 1e-3, path
            assert read_header(path, readers=FULL).kind == header.kind
            shown = read_levels(path)  # with the window of the file
            assert shown.levels.max() < 2.0**shown.header.bits
            syntaxes.add(dcmread(path).file_meta.TransferSyntaxUID.name)
            read += 1
    assert read == 89
    assert len(syntaxes) == 12, sorted(syntaxes)


def ramp(dtype=np.int16, low=0, high=4095):
    return np.linspace(low, high, 64).astype(dtype).reshape(8, 8)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("intercept", "signed"), [(0, False), (-1024, False), (-1024, True)])
def test_a_window_is_that_of_pydicom(tmp_path, function, intercept, signed):
    pixels = ramp(np.int16, -2000, 3000) if signed else ramp(np.uint16)
    path = write_dicom(
        tmp_path / "a.dcm", pixels, RescaleSlope=1, RescaleIntercept=intercept,
        WindowCenter=[40, 50], WindowWidth=[401, 20], VOILUTFunction=function,
    )  # fmt: skip
    ds = dcmread(path)
    theirs = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds)
    low, high = (-32768, 32767) if signed else (0, 65535)
    theirs = (theirs - (low + intercept)) / (high - low)
    raster = read_levels(path)
    assert raster.header.bits == 15
    assert "have several windows, of which the first was taken" in raster.header.remarks
    assert np.abs(raster.levels / TOP - theirs).max() < 1e-4
    again = read_levels(path, readers=(DicomReader(window=[40, 401]),))
    assert (function == "LINEAR") == np.array_equal(again.levels, raster.levels)


def test_without_a_window_values_stay_as_they_are(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", ramp(np.uint16), RescaleSlope=1, RescaleIntercept=-1024)
    for window in ("file", "full"):
        raster = read_levels(path, readers=(DicomReader(window=window),))
        assert (raster.header.sample, raster.header.bits) == ("signed", 17)
        assert np.array_equal(raster.levels, ramp(np.int32) - 1024)
    path = write_dicom(tmp_path / "b.dcm", ramp(np.uint16), RescaleSlope=0.5, RescaleIntercept=1)
    raster = read_levels(path)
    assert raster.header.sample == "float"
    assert np.array_equal(raster.levels, ramp() * np.float32(0.5) + 1)


def test_monochrome1_is_turned_once_and_after_the_window(tmp_path):
    tags = {"BitsStored": 12, "WindowCenter": 1000, "WindowWidth": 1000}
    one = read_levels(write_dicom(tmp_path / "1.dcm", ramp(np.uint16), **tags))
    tags |= {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    other = read_levels(write_dicom(tmp_path / "2.dcm", ramp(np.uint16), **tags))
    assert np.array_equal(other.levels, TOP - one.levels)
    assert any("call white zero" in remark for remark in other.header.remarks)
    full = read_levels(tmp_path / "2.dcm", readers=FULL)
    assert (full.header.sample, full.header.bits) == ("unsigned", 12)
    assert np.array_equal(full.levels, 4095 - ramp(np.uint16))


def lut_item(entries, first, bits):
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.add_new("LUTData", "US", list(entries))
    return item


def test_tables_are_looked_up(tmp_path):
    """Those of 8 bits too, where pydicom 3.0.2 wraps values beyond 255 before it clips them."""
    table = lut_item([0, 20, 60, 255], 100, 8)
    pixels = np.array([[0, 99, 100, 101], [102, 103, 104, 4000]], dtype=np.uint16)
    expected = np.array([[0, 0, 0, 20], [60, 255, 255, 255]])
    path = write_dicom(tmp_path / "a.dcm", pixels, VOILUTSequence=[table], WindowCenter=9,
                       WindowWidth=2)  # fmt: skip
    shown = read_levels(path)
    assert np.abs(shown.levels / TOP - expected / 255).max() < 1e-4
    assert any("VOI LUT" in remark for remark in shown.header.remarks)
    path = write_dicom(tmp_path / "b.dcm", pixels, ModalityLUTSequence=[table])
    raster = read_levels(path)
    assert (raster.header.sample, raster.header.bits) == ("unsigned", 8)
    assert np.array_equal(raster.levels, expected)


@pytest.mark.parametrize(("bits", "factor"), [(8, 1), (16, 1), (16, 256)])
def test_palettes(tmp_path, bits, factor):
    """Entries of 16 bits hold colours in their upper byte, or in the lower one; both occur."""
    dtype = np.uint8 if bits == 8 else np.dtype("<u2")
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for shift, colour in enumerate(("Red", "Green", "Blue")):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 10, bits]
        entries = (np.array([1, 2, 250, 4]) + shift) * factor
        tags[f"{colour}PaletteColorLookupTableData"] = entries.astype(dtype).tobytes()
    pixels = np.array([[0, 10, 11], [12, 13, 255]], dtype=np.uint8)
    raster = read_levels(write_dicom(tmp_path / "a.dcm", pixels, **tags))
    first = np.array([[1, 1, 2], [250, 4, 4]])
    assert raster.header.kind == "RGB"
    assert np.array_equal(raster.levels, np.stack([first, first + 1, first + 2], axis=-1))


def test_colours_plane_by_plane(tmp_path, colour_noise):
    pixels = colour_noise(6, 9, 0)
    pixel = read_levels(write_dicom(tmp_path / "a.dcm", pixels))
    planes = pixels.transpose(2, 0, 1).reshape(pixels.shape)
    plane = read_levels(write_dicom(tmp_path / "b.dcm", planes, PlanarConfiguration=1))
    assert np.array_equal(pixel.levels, pixels)
    assert np.array_equal(plane.levels, pixels)


def groups(slope, intercept, center):
    item, transform, window = Dataset(), Dataset(), Dataset()
    transform.RescaleSlope, transform.RescaleIntercept = slope, intercept
    window.WindowCenter, window.WindowWidth = center, 100
    item.PixelValueTransformationSequence = [transform]
    item.FrameVOILUTSequence = [window]
    return item


def test_frames_have_the_slope_and_window_of_their_own_groups(tmp_path):
    """pydicom's apply_rescale and apply_voi_lut look at the top alone, and silently do nothing."""
    frames = np.stack([ramp(np.uint16) + k for k in range(3)])
    path = write_dicom(
        tmp_path / "a.dcm", frames, NumberOfFrames=3,
        SharedFunctionalGroupsSequence=[Dataset()],
        PerFrameFunctionalGroupsSequence=[groups(1, -1024 - k, 40 + k) for k in range(3)],
    )  # fmt: skip
    for frame, number in ((0, 0), (2, 2), ("first", 0), ("middle", 1)):
        full = read_levels(path, readers=(DicomReader("full", frame),))
        assert np.array_equal(full.levels, frames[number].astype(np.int32) - 1024 - number)
        shown = read_levels(path, readers=(DicomReader("file", frame),))
        window = read_levels(path, readers=(DicomReader([40 + number, 100], frame),))
        assert np.array_equal(shown.levels, window.levels)
        assert len(np.unique(shown.levels)) > 2
    assert any("several frames, of which" in remark for remark in shown.header.remarks)
    with pytest.raises(ImageFileError, match=r"holds 3 frames, 0 to 2, so data\.frame=3"):
        read_header(path, readers=(DicomReader(frame=3),))
    shared = write_dicom(tmp_path / "b.dcm", frames, NumberOfFrames=3,
                         SharedFunctionalGroupsSequence=[groups(2, 5, 40)])  # fmt: skip
    assert np.array_equal(read_levels(shared, readers=FULL).levels, 2 * frames[0].astype(int) + 5)


def test_unused_bits_and_padding(tmp_path):
    pixels = ramp(np.uint16) | 0xF000  # an overlay in the upper four
    raster = read_levels(write_dicom(tmp_path / "a.dcm", pixels, BitsStored=12))
    assert np.array_equal(raster.levels, ramp(np.uint16))
    pixels = ramp(np.int16, -500, 500)
    pixels[0, 0] = -2000
    raster = read_levels(write_dicom(tmp_path / "b.dcm", pixels, PixelPaddingValue=-2000))
    assert raster.levels.min() == raster.levels[0, 0] == pixels[0, 1:].min()
    assert any("no part of the picture" in remark for remark in raster.header.remarks)


REFUSED = {
    "a photometric form": ({"PhotometricInterpretation": "HSV"}, "photometric form HSV"),
    "bits elsewhere": ({"BitsStored": 12, "HighBit": 13}, "12 bits end at bit 13, not at 11"),
    "a window of no width": ({"WindowCenter": 1, "WindowWidth": 0}, "window is 0 wide"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(tmp_path, case):
    tags, message = REFUSED[case]
    path = write_dicom(tmp_path / "a.dcm", ramp(np.uint16), **tags)
    with pytest.raises(ImageFileError, match=message):
        read_header(path)


def test_films_are_refused_by_name(tmp_path):
    ds = dcmread(write_dicom(tmp_path / "a.dcm", ramp(np.uint16)))
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    ds.PixelData = encapsulate([b"film"])
    ds["PixelData"].is_undefined_length = True
    ds.save_as(tmp_path / "a.dcm")
    with pytest.raises(ImageFileError, match="is a DICOM file in MPEG-4"):
        read_header(tmp_path / "a.dcm")


def test_files_without_the_usual_beginning(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", ramp(np.uint16))
    ds = dcmread(path)
    with (tmp_path / "bare.IMA").open("wb") as file:
        stream = DicomFileLike(file)
        stream.is_implicit_VR, stream.is_little_endian = True, True
        write_dataset(stream, ds)
    assert np.array_equal(read_levels(tmp_path / "bare.IMA").levels, ramp(np.uint16))
    (tmp_path / "text.dcm").write_text("no picture at all\0")
    with pytest.raises(ImageFileError, match="is not an image"):
        read_header(tmp_path / "text.dcm")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm", ramp(np.uint16))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(SynthgenError, match=r'pip install "synthgen-images\[medical\]"'):
        read_header(path)


def ward(root, digits, *, patients=30, ending=".dcm", **tags):
    """Two classes of real digits, three pictures of each patient, under their names."""
    pixels, labels = digits
    for label in (0, 1):
        for number, image in enumerate(pixels[labels == label][: 3 * patients]):
            secrets = {**SECRETS, "SOPInstanceUID": None} | {
                "PatientID": f"{SECRETS['PatientID']}-{label}-{number // 3}"
            }
            content = image.astype(np.uint16)
            name = f"{'healthy' if label else 'ill'}/Mustermann_{number:03d}{ending}"
            view = {"ViewPosition": "PA" if label else "LATERAL"}
            write_dicom(root / name, content, **{**secrets, **view, **tags})
    return root


def test_images_of_one_patient_share_a_split(tmp_path, digits):
    source = DICOMFolder(root=str(ward(tmp_path / "ward", digits)))
    records = source.read()
    assert len(set(records.groups)) == 60
    assert all(SECRETS["PatientID"] not in str(group) for group in records.groups)
    splits = prepare(source)
    assert any("of 60 patients" in note for note in splits.notes)
    group_of = dict(zip(pixel_hashes(records), records.groups, strict=True))
    scaled = prepare(source.with_options(range=[0, 255]))  # as they are
    parts = [{group_of[one] for one in image_hashes(part.images)}
             for part in (scaled.train, scaled.holdout, scaled.test)]  # fmt: skip
    assert sum(map(len, parts)) == len(set.union(*parts)) == 60
    loose = prepare(source.with_options(patients="ignore"))
    assert not any("patients" in note for note in loose.notes)
    assert loose.digest != splits.digest


def pixel_hashes(records):
    return image_hashes(records.images.images.to(torch.uint8))


def test_one_patient_alone_cannot_be_divided(tmp_path, digits):
    root = ward(tmp_path / "ward", digits, patients=3)
    for path in root.rglob("*.dcm"):
        ds = dcmread(path)
        ds.PatientID = "ANONYMOUS"
        ds.save_as(path)
    with pytest.raises(SynthgenError, match=r"data\.patients=ignore"):
        prepare(DICOMFolder(root=str(root)))
    prepare(DICOMFolder(root=str(root), patients="ignore"))


def test_a_value_of_a_wrong_length_is_damage_in_two_lines(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.zeros((4, 4), np.uint16), BitsStored=12)
    content = path.read_bytes()
    at = content.index(b"\x28\x00\x10\x00US\x02\x00")  # Rows, explicit VR
    path.write_bytes(
        content[: at + 6] + b"\x03\x00" + content[at + 8 : at + 10] + b"\0" + content[at + 10 :]
    )
    with pytest.raises(ImageFileError, match="wrong length") as error:
        read_levels(path)
    assert str(error.value).count("\n") == 1


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_a_form_with_a_line_break_is_told_in_two_lines(tmp_path):
    pixels = np.zeros((4, 4), np.uint16)
    path = write_dicom(tmp_path / "a.dcm", pixels, PhotometricInterpretation="MONO\nCHROME")
    with pytest.raises(ImageFileError, match="the photometric form MONO CHROME") as error:
        read_levels(path)
    assert str(error.value).count("\n") == 1
