"""NIfTI: which slice, which way up, and which values."""

import gzip
import itertools
import sys

import nibabel
import numpy as np
import pytest

from synthgen.data.readers import ImageFileError, NiftiReader, read_header, read_levels
from synthgen.errors import SynthgenError


def volume(dtype=np.int16):
    """(5, 6, 7) values that tell where they lie: 100 x + 10 y + z, in the directions of RAS."""
    x, y, z = np.meshgrid(range(5), range(6), range(7), indexing="ij")
    return (100 * x + 10 * y + z - 300).astype(dtype)


def write(path, values, affine=None, kind=nibabel.Nifti1Image, slope=None, inter=None):
    image = kind(values, np.eye(4) if affine is None else affine)
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    image.to_filename(path)
    return path


def axial(values, number):
    """Front on top, right on the left."""
    return values[::-1, ::-1, number].T


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_the_middle_axial_slice_is_taken(tmp_path, name, kind):
    raster = read_levels(write(tmp_path / name, volume(), kind=kind))
    header = raster.header
    assert (header.format, header.sample, header.bits, header.bands) == ("NIfTI", "signed", 16, 1)
    assert (header.height, header.width) == (6, 5) == raster.levels.shape
    assert np.array_equal(raster.levels, axial(volume(), 3))
    assert any("the middle axial one was taken" in remark for remark in header.remarks)
    assert read_header(tmp_path / name) == header


def test_the_same_however_the_volume_is_stored(tmp_path):
    """All 48 ways to order and turn the axes."""
    original = nibabel.Nifti1Image(volume(), np.diag([2.0, 2.5, 3.0, 1.0]))
    for order in itertools.permutations(range(3)):
        for turns in itertools.product((1, -1), repeat=3):
            turned = original.as_reoriented(np.array(list(zip(order, turns, strict=True))))
            turned.to_filename(tmp_path / "a.nii")
            raster = read_levels(tmp_path / "a.nii")
            assert np.array_equal(raster.levels, axial(volume(), 3)), (order, turns)
            first = read_levels(tmp_path / "a.nii", readers=(NiftiReader(0),))
            assert np.array_equal(first.levels, axial(volume(), 0)), (order, turns)


def test_slices_are_counted_from_the_feet(tmp_path):
    path = write(tmp_path / "a.nii", volume())
    for frame, number in (("first", 0), (0, 0), (6, 6), ("middle", 3)):
        levels = read_levels(path, readers=(NiftiReader(frame),)).levels
        assert np.array_equal(levels, axial(volume(), number))
    with pytest.raises(ImageFileError, match=r"holds 7 slices, 0 to 6, so data\.frame=7"):
        read_header(path, readers=(NiftiReader(7),))


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32, np.float64]
)
def test_types(tmp_path, dtype):
    values = volume(np.int64)
    values = (
        (values - values.min()) % 127 if np.dtype(dtype).itemsize == 1 else values - values.min()
    )
    raster = read_levels(write(tmp_path / "a.nii", values.astype(dtype)))
    kind = {"u": "unsigned", "i": "signed", "f": "float"}[np.dtype(dtype).kind]
    bits = 32 if kind == "float" else 8 * np.dtype(dtype).itemsize
    assert (raster.header.sample, raster.header.bits) == (kind, bits)
    assert np.array_equal(raster.levels, axial(values, 3))


def test_big_endian_values(tmp_path):
    values = volume(np.dtype(">i2"))
    image = nibabel.Nifti1Image(values, np.eye(4), nibabel.Nifti1Header(endianness=">"))
    image.header.set_data_dtype(">i2")
    image.to_filename(tmp_path / "a.nii")
    raster = read_levels(tmp_path / "a.nii")
    assert raster.levels.dtype.isnative
    assert np.array_equal(raster.levels, axial(volume(), 3))


def test_slope_and_intercept_are_applied(tmp_path):
    path = write(tmp_path / "a.nii", volume(), slope=0.5, inter=7)
    content = bytearray(path.read_bytes())
    raster = read_levels(path)
    stored = nibabel.load(path).get_fdata()
    assert raster.header.sample == "float"
    assert np.allclose(raster.levels, axial(stored, 3))
    assert content[344:348] == b"n+1\0"


def test_volumes_over_time_and_what_is_no_number(tmp_path):
    values = np.stack([volume(np.float32), volume(np.float32) + 1], axis=-1)
    values[2, 3, 3] = np.nan
    raster = read_levels(write(tmp_path / "a.nii", values))
    expected = axial(volume(np.float32), 3).copy()
    expected[2, 2] = np.delete(expected, 2 * 5 + 2).min()
    assert np.array_equal(raster.levels, expected)
    remarks = " ".join(raster.header.remarks)
    assert "first was taken" in remarks
    assert "no number" in remarks


def test_colours(tmp_path):
    values = np.zeros((5, 6, 7), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for shift, name in enumerate("RGB"):
        values[name] = volume(np.uint8) + shift
    raster = read_levels(write(tmp_path / "a.nii", values))
    assert raster.header.kind == "RGB"
    assert np.array_equal(raster.levels[..., 1], axial(volume(np.uint8) + 1, 3))


def test_a_flat_picture(tmp_path):
    raster = read_levels(write(tmp_path / "a.nii", volume()[:, :, 2]))
    assert np.array_equal(raster.levels, axial(volume()[:, :, 2:3], 0))
    assert not any("slices" in remark for remark in raster.header.remarks)


def test_what_is_refused(tmp_path):
    nibabel.Nifti1Pair(volume(), np.eye(4)).to_filename(tmp_path / "pair.img")
    with pytest.raises(ImageFileError, match="one half of a NIfTI pair"):
        read_header(tmp_path / "pair.hdr")
    write(tmp_path / "complex.nii", volume(np.complex64))
    with pytest.raises(ImageFileError, match="NIfTI file of complex64 values"):
        read_header(tmp_path / "complex.nii")
    content = write(tmp_path / "cut.nii.gz", volume()).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(content[:-40])
    with pytest.raises(ImageFileError, match="can't be decoded"):
        read_levels(tmp_path / "cut.nii.gz")
    (tmp_path / "text.nii.gz").write_bytes(gzip.compress(b"no volume" * 99))
    with pytest.raises(ImageFileError, match="can't be decoded"):
        read_header(tmp_path / "text.nii.gz")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a.nii", volume())
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(SynthgenError, match=r"nibabel(.|\n)*synthgen-images\[medical\]"):
        read_header(path)


def test_a_volume_that_is_cut_behind_its_slice_is_damaged_and_nothing_is_printed(tmp_path, capfd):
    content = write(tmp_path / "a.nii", volume()).read_bytes()
    (tmp_path / "a.nii").write_bytes(content[:-20])
    with pytest.raises(ImageFileError, match="cut short"):
        read_levels(tmp_path / "a.nii")
    (tmp_path / "a.nii").write_bytes(b"\x00" + content[1:])  # the length of the header
    read_levels(tmp_path / "a.nii")
    assert capfd.readouterr() == ("", "")
