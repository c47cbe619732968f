"""More than 8 bits: one scale for a set, with ends that are given, declared or learnt."""

import numpy as np
import pytest
import torch

from synthgen.data.levels import UnscaledImages, choose_range, preview, scale, scaled, widened
from synthgen.errors import SynthgenError
from synthgen.types import Levels


def images_of(values, dtype, declared=None):
    pixels = torch.from_numpy(np.array(values, dtype=dtype).reshape(len(values), 1, 1, -1))
    labels = torch.zeros(len(values), dtype=torch.int64)
    return UnscaledImages(pixels, labels, ("a",), declared=declared)


@pytest.mark.parametrize(
    ("values", "dtype", "wanted", "ends"),
    [
        ([[0, 300], [7, 4095]], np.uint16, None, (0, 4095)),
        ([[0, 300], [7, 4096]], np.uint16, None, (0, 8191)),
        ([[0, 3], [7, 9]], np.uint16, None, (0, 255)),
        ([[0, 3], [7, 65535]], np.uint16, None, (0, 65535)),
        ([[-1024, 3], [7, 900]], np.int16, None, (-1024, 900)),
        ([[0.1, 0.2], [0.3, 0.9]], np.float32, None, (0, 1)),
        ([[0.5, 2], [3, 7]], np.float32, None, (0.5, 7)),
        ([[0, 300], [7, 4095]], np.uint16, [100, 200], (100, 200)),
        ([np.arange(1001), np.arange(1001)], np.uint16, "percentile", (1, 999)),
    ],
)
def test_ends_of_the_scale(values, dtype, wanted, ends):
    found, why = choose_range(images_of(values, dtype), [0, 1], wanted)
    assert found == ends
    assert why


def test_ends_come_from_training_images_only():
    images = images_of([[0, 255], [7, 60_000]], np.uint16)
    assert choose_range(images, [0], None)[0] == (0, 255)
    assert choose_range(images_of([[0], [9]], np.uint16, (0, 1023)), [0], None)[0] == (0, 1023)


def test_one_level_only_is_refused():
    with pytest.raises(SynthgenError, match=r"the same level \(5\)"):
        choose_range(images_of([[5, 5]], np.int16), [0], None)


def test_16_bits_keep_every_level_and_8_clip_what_is_outside():
    images = images_of([np.arange(4096)], np.uint16)
    kept = scale(images, (0, 4095), 16)
    assert kept.images.dtype == torch.uint16
    assert len(kept.images.unique()) == 4096
    assert kept.image.bits == 16
    assert kept.levels == Levels(0, 4095)
    clipped = scale(images, (1000, 2000), 8).images.flatten()
    assert clipped[:1000].max() == 0
    assert clipped[2000:].min() == 255


def test_what_the_scale_does_is_said_in_numbers():
    images = images_of([np.arange(4096), np.arange(4096) + 60_000], np.uint16)
    found, (note,) = scaled(images, [0], None, 8)
    assert note == (
        "Levels 0 to 4095 (12 bits hold every training level) become 0 to 255: 4,096 different "
        "training levels, 256 of them kept apart. data.bits=16 keeps more."
    )
    assert found.images[1].unique().tolist() == [255]
    _, (note,) = scaled(images, [0, 1], [0, 4095], 16)
    assert "50.00% lie outside and were clipped" in note


def test_8_bits_stay_untouched_unless_more_is_asked_for():
    eight = preview(images_of([[0, 128, 65_535]], np.uint16))
    assert scaled(eight, [0], None, 8) == (eight, [])
    wide, _ = scaled(eight, [0], None, 16)
    assert wide.images.flatten().tolist() == [level * 257 for level in eight.images.flatten()]


@pytest.mark.parametrize(("bits", "level", "wide"), [(1, 1, 255), (4, 15, 255), (4, 1, 17)])
def test_fewer_than_8_bits_fill_the_scale(bits, level, wide):
    assert widened(np.array([[0, level]], np.uint8), bits, 255).tolist() == [[0, wide]]
    assert widened(np.array([[2**12 - 1]], np.uint16), 12, 65535).tolist() == [[65535]]
