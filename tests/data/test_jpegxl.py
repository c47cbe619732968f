"""JPEG XL: levels as stored, sizes before anything is decoded."""

import imagecodecs
import numpy as np
import pytest

from synthgen.data.readers import FileBytes, ImageFileError, image_readers, read_header, read_levels
from synthgen.data.readers.base import Choices
from synthgen.data.readers.jpegxl import size_of

RANDOM = np.random.default_rng(0)


def encoded(array: np.ndarray, **options) -> FileBytes:
    return FileBytes("a.jxl", imagecodecs.jpegxl_encode(array, lossless=True, **options))


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_levels_are_those_that_were_written(shape, kind):
    array = RANDOM.random(shape).astype("f4")
    array = array if kind == "f4" else (array * np.iinfo(kind).max).astype(kind)
    raster = read_levels(encoded(array))
    assert (raster.levels == array).all()
    assert raster.levels.dtype == array.dtype
    assert raster.header.bits == {"u1": 8, "u2": 16, "f4": 32}[kind]
    assert raster.header == read_header(encoded(array))


def test_twelve_bits_are_not_stretched():
    array = RANDOM.integers(0, 4096, (20, 30)).astype(np.uint16)
    assert (read_levels(encoded(array, bitspersample=12)).levels == array).all()


def test_transparency_is_laid_on_white():
    array = RANDOM.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    array[..., 3] = 0
    array[:10, :, 3] = 255
    raster = read_levels(encoded(array))
    assert raster.header.alpha
    assert (raster.levels[:10] == array[:10, :, :3]).all()
    assert (raster.levels[10:] == 255).all()


SIZES = (1, 1), (8, 8), (16, 32), (20, 30), (64, 64), (100, 150), (600, 9000), (9, 16), (40, 256)


def test_transparency_of_unknown_depth_is_refused():
    array = RANDOM.integers(0, 4096, (20, 30, 4)).astype(np.uint16)
    with pytest.raises(ImageFileError, match="more than 8 bits with transparency"):
        read_levels(encoded(array, bitspersample=12))


@pytest.mark.parametrize("size", SIZES)
def test_the_size_is_known_from_the_head(size):
    assert size_of(encoded(np.zeros(size, np.uint8)).content[:200]) == size
    assert size_of(encoded(np.zeros(size, np.float32)).content[:200]) == size  # a container


def test_what_claims_to_be_huge_is_refused_undecoded(monkeypatch):
    monkeypatch.setattr(imagecodecs, "jpegxl_decode", None)
    with pytest.raises(ImageFileError, match="600 × 900 pixels large"):
        read_levels(
            encoded(np.zeros((600, 900), np.uint8)), readers=image_readers(Choices(max_pixels=1000))
        )


@pytest.mark.parametrize("end", [2, 3, 10, 40, 60])
def test_what_is_cut_short_is_damage(end):
    for kind in (np.uint8, np.uint16):
        content = encoded(RANDOM.integers(0, 255, (20, 30)).astype(kind)).content
        with pytest.raises(ImageFileError) as raised:
            read_levels(FileBytes("a.jxl", content[:end]))
        assert raised.value.kind in ("corrupt", "not_image")
