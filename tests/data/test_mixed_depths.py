"""Files of several depths and kinds in one set: one right scale, or a refusal."""

import numpy as np
import pytest
import tifffile
from dicom_files import write_dicom
from pictures import noise

from synthgen.data import ImageFolder, check, prepare
from synthgen.data.files import read_as
from synthgen.data.readers import ImageFileError
from synthgen.errors import SynthgenError
from synthgen.types import ImageSpec, Levels

SIDES = (12, 12)


def folder(path, *kinds):
    """Two classes of ten files, of which each of ``kinds`` writes every second."""
    for position in range(20):
        place = path / f"c{position % 2}" / f"{position}"
        place.parent.mkdir(parents=True, exist_ok=True)
        kinds[(position // 2) % len(kinds)](place, position)
    return ImageFolder(root=str(path))


def levels(dtype, top):
    def write(place, seed):
        shares = noise(SIDES, 16, np.uint16, seed) / 65535
        tifffile.imwrite(place.with_suffix(".tif"), (shares * top).astype(dtype))

    return write


def not_finite(place, seed):
    tifffile.imwrite(place.with_suffix(".tif"), np.full(SIDES, np.nan, np.float32))


def scan(bits, **tags):
    def write(place, seed):
        pixels = noise(SIDES, 12, np.uint16, seed)
        write_dicom(place.with_suffix(".dcm"), pixels, BitsStored=bits, **tags)

    return write


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ((levels(np.uint8, 255), levels(np.uint32, 70_000)), "has 32-bit levels, most others uns"),
        ((levels(np.uint16, 65535), levels(np.uint32, 2**31)), "has 32-bit levels, most others u"),
        ((not_finite, levels(np.uint8, 255)), "not finite"),
        ((scan(12), scan(16, WindowCenter="9", WindowWidth="9")), "has unsigned levels, most oth"),
    ],
)
def test_scales_that_do_not_meet_are_refused_alike_by_check_and_training(tmp_path, kinds, said):
    source = folder(tmp_path, *kinds)
    with pytest.raises(SynthgenError, match=said):
        prepare(source)
    assert check(source).refusal is not None


def test_values_without_a_window_keep_their_units_whatever_their_bits(tmp_path):
    source = folder(tmp_path, scan(12), scan(16))
    train = prepare(source).train
    assert train.levels == Levels(0, 4095)
    brightest = train.images.numpy().max(axis=(1, 2, 3))
    assert brightest.min() > 200


def test_shares_beside_levels_are_said(tmp_path):
    source = folder(tmp_path, levels(np.float32, 1), levels(np.float32, 200))
    assert any("10 of 20 hold only levels from 0 to 1" in note for note in prepare(source).notes)


def test_a_range_that_leaves_one_level_is_refused(tmp_path):
    source = folder(tmp_path, levels(np.float32, 1)).with_options(range=[0, 4095])
    with pytest.raises(SynthgenError, match="become one level between 0 and 4095"):
        prepare(source)


@pytest.mark.parametrize(
    ("written", "kind", "read"),
    [
        (levels(np.uint8, 255), (16, Levels(0, 4095)), 257),
        (levels(np.uint16, 4095), (16, Levels(0, 4095)), 65535 / 4095),
        (levels(np.float32, 1), (16, Levels(0, 1)), 65535),
        (levels(np.uint32, 70_000), (16, Levels(0, 70_000)), 65535 / 70_000),
        (levels(np.float32, 1), (8, None), None),
        (levels(np.float32, 1), (8, Levels(0, 4095)), None),
        (levels(np.uint32, 70_000), (8, None), None),
    ],
)
def test_one_file_is_read_on_the_scale_of_a_sampler(tmp_path, written, kind, read):
    written(tmp_path / "one", 3)
    image = ImageSpec(2, *SIDES, ("a",), *kind)
    if read is None:
        with pytest.raises(ImageFileError, match="on another scale than the images"):
            read_as(tmp_path / "one.tif", image, "pad")
        return
    wanted = np.rint(tifffile.imread(tmp_path / "one.tif") * np.float64(read))
    assert np.abs(read_as(tmp_path / "one.tif", image, "pad").numpy() - wanted).max() <= 1


def test_colours_of_16_bits_become_grey_where_the_sampler_is(tmp_path):
    pixels = noise((*SIDES, 3), 16, np.uint16, 1)
    tifffile.imwrite(tmp_path / "one.tif", pixels, photometric="rgb")
    found = read_as(tmp_path / "one.tif", ImageSpec(1, *SIDES, ("a",), 16), "pad").numpy()[0]
    assert np.abs(found - pixels @ [0.299, 0.587, 0.114]).max() <= 1
