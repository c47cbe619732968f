import io

import numpy as np
import pytest
import torch
from PIL import Image

from synthgen.dataset.formats.images import encode_pngs


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 9), (32, 32)])
def test_every_pixel_comes_back(channels, mode, height, width):
    random = torch.Generator().manual_seed(0)
    images = torch.randint(
        0, 256, (6, channels, height, width), generator=random, dtype=torch.uint8
    )
    for image, content in zip(images, encode_pngs(images), strict=True):
        read = Image.open(io.BytesIO(content))
        read.verify()  # checksums
        read = Image.open(io.BytesIO(content))
        assert (read.mode, read.size) == (mode, (width, height))
        pixels = np.array(read).reshape(height, width, channels)
        assert np.array_equal(pixels, image.permute(1, 2, 0).numpy())


def test_images_that_are_not_contiguous():
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    strided = images.to(memory_format=torch.channels_last).flip(3)
    assert encode_pngs(strided) == encode_pngs(strided.contiguous())
