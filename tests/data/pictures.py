"""Files of every format as the libraries write them, and what is read of them."""

import io
import warnings

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from synthgen.data.readers import (
    Choices,
    FileBytes,
    ImageFileError,
    image_readers,
    read_header,
    read_levels,
)

H, W = 20, 24


def read(content, **choices):
    """The raster of a file, whose header says the same before it is decoded."""
    readers = image_readers(Choices(**choices))
    file = FileBytes("a", content)
    raster = read_levels(file, None, readers)
    before = read_header(file, readers)
    assert before.kind == raster.header.kind
    assert (before.height, before.width) == raster.levels.shape[:2]
    assert raster.levels.dtype.isnative
    bands = 1 if raster.levels.ndim == 2 else raster.levels.shape[2]
    assert before.bands == bands
    return raster


def refusal(content, **choices):
    with pytest.raises(ImageFileError) as error:
        read(content, **choices)
    assert str(error.value).count("\n") == 1
    return error.value


def equal(raster, levels):
    return raster.levels.shape == levels.shape and bool((raster.levels == levels).all())


def noise(shape, bits=8, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 2**bits, shape)
    return (drawn - (2 ** (bits - 1) if np.dtype(dtype).kind == "i" else 0)).astype(dtype)


def tiff(levels, **options):
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tifffile.imwrite(buffer, levels, **options)
    return buffer.getvalue()


def by_pillow(image, format, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        buffer, format, **options
    )
    return buffer.getvalue()


def npy(levels):
    buffer = io.BytesIO()
    np.save(buffer, levels)
    return buffer.getvalue()


def jpeg2000(levels, space=None, **options):
    content = imagecodecs.jpeg2k_encode(
        levels, **{"level": 0, "codecformat": "jp2", "reversible": True, **options}
    )
    if space is None:
        return content
    at = content.index(b"colr") + 7
    return content[:at] + bytes([0, 0, 0, space]) + content[at + 4 :]
