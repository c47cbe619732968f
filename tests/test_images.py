import io

import numpy as np
import pytest
import torch
from PIL import Image

from synthgen.images import encode_png, grid, to_float, to_uint8


def test_all_256_levels_survive_the_round_trip():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(levels)), levels)


def test_floats_span_minus_one_to_one():
    ends = to_float(torch.tensor([0, 255], dtype=torch.uint8))
    assert ends.tolist() == [-1.0, 1.0]


def test_values_are_rounded_not_truncated():
    step = 2 / 255
    values = torch.tensor([-1 + 100.4 * step, -1 + 100.6 * step])
    assert to_uint8(values).tolist() == [100, 101]


def test_values_outside_are_clamped_not_wrapped():
    values = torch.tensor([-50.0, -1.01, 1.01, 50.0, float("inf"), float("-inf")])
    assert to_uint8(values).tolist() == [0, 0, 255, 255, 255, 0]


def test_converters_leave_their_input_alone():
    floats, levels = torch.zeros(3), torch.zeros(3, dtype=torch.uint8)
    to_uint8(floats)
    to_float(levels)
    assert floats.tolist() == [0, 0, 0]
    assert levels.tolist() == [0, 0, 0]


@pytest.mark.parametrize("channels", [1, 3])
def test_png_gives_the_pixels_back(channels):
    image = torch.arange(channels * 5 * 7, dtype=torch.uint8).view(channels, 5, 7)
    read = np.array(Image.open(io.BytesIO(encode_png(image)))).reshape(5, 7, channels)
    assert np.array_equal(read, image.permute(1, 2, 0).numpy())


def test_grid_lays_images_out_row_by_row():
    images = torch.stack([torch.full((1, 2, 3), value, dtype=torch.uint8) for value in range(5)])
    canvas = grid(images, columns=2, padding=1)
    assert canvas.shape == (1, 3 * 3 + 1, 2 * 4 + 1)
    assert canvas[0, 1, 1] == 0
    assert canvas[0, 1, 5] == 1
    assert canvas[0, 7, 1] == 4
    assert canvas[0, 7, 5] == 128
